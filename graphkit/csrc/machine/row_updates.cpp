#include "machine/row_updates.hpp"

#include <algorithm>
#include <chrono>

#include "machine/fetch.hpp"
#include "machine/threads.hpp"
#include "machine/vectors.hpp"

namespace graphkit {
namespace {

constexpr std::size_t kLineFloats = 16;

GRAPHKIT_VECTOR_CLONES
void update(float* table, std::size_t width, const std::int64_t* ids, std::size_t count, std::size_t ahead) {
    for (std::size_t i = 0; i < count; ++i) {
        float* row = table + static_cast<std::size_t>(ids[i]) * width;
        const float* later = table + static_cast<std::size_t>(ids[std::min(i + ahead, count - 1)]) * width;
        std::size_t d = 0;
        for (; d + kLineFloats <= width; d += kLineFloats) {
            __builtin_prefetch(later + d, 0, kSecondCache);
            for (std::size_t j = 0; j < kLineFloats; ++j) row[d + j] += 1.0f;
        }
        for (; d < width; ++d) row[d] += 1.0f;
    }
}

}  // namespace

double measure_row_updates(float* table, std::size_t width, std::span<const std::int64_t> ids, unsigned threads,
                           std::size_t ahead) {
    const auto start = std::chrono::steady_clock::now();
    run_tasks(threads, threads, [&](std::size_t task) {
        const std::size_t begin = ids.size() * task / threads, end = ids.size() * (task + 1) / threads;
        update(table, width, ids.data() + begin, end - begin, ahead);
    });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace graphkit
