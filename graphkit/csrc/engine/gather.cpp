#include "engine/gather.hpp"

#include <algorithm>
#include <cstring>

#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Rows fetched ahead: enough lines under way to hide a miss, few enough to stay in the first cache.
constexpr std::size_t kAhead = 6;
constexpr std::size_t kLine = 64;
constexpr std::size_t kBytesOfTask = std::size_t{1} << 20;

}  // namespace

void gather_rows(const std::byte* table, std::size_t width, std::span<const std::int64_t> ids,
                 const std::int64_t* places, std::byte* to, unsigned threads) {
    const std::size_t step = std::max<std::size_t>(kBytesOfTask / std::max<std::size_t>(width, 1), 1);
    run_tasks((ids.size() + step - 1) / step, threads, [&](std::size_t task) {
        const std::size_t begin = task * step, end = std::min(ids.size(), begin + step);
        for (std::size_t i = begin; i < end; ++i) {
            if (i + kAhead < end) {
                const std::byte* next = table + static_cast<std::size_t>(ids[i + kAhead]) * width;
                for (std::size_t byte = 0; byte < width; byte += kLine) __builtin_prefetch(next + byte);
            }
            const std::size_t place = places == nullptr ? i : static_cast<std::size_t>(places[i]);
            std::memcpy(to + place * width, table + static_cast<std::size_t>(ids[i]) * width, width);
        }
    });
}

void add_rows(float* to, std::size_t width, std::span<const std::int64_t> places, const float* from) {
    for (const std::int64_t place : places) {
        float* row = to + static_cast<std::size_t>(place) * width;
        for (std::size_t d = 0; d < width; ++d) row[d] += from[d];
        from += width;
    }
}

}  // namespace graphkit
