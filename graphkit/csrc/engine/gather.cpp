#include "engine/gather.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/kernels.hpp"
#include "machine/fetch.hpp"
#include "machine/threads.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace graphkit {
namespace {

// Rows fetched ahead: enough lines under way to hide a miss, few enough to stay in the second cache.
constexpr std::size_t kAhead = 8;
constexpr std::size_t kLine = 64;
constexpr std::size_t kBytesOfTask = std::size_t{1} << 20;

// Lets other threads see what this one has streamed.
void finish_stream() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

}  // namespace

void gather_rows(const std::byte* table, std::size_t width, std::span<const std::int64_t> ids,
                 const std::int64_t* places, std::byte* to, unsigned threads) {
    const std::size_t step = std::max<std::size_t>(kBytesOfTask / std::max<std::size_t>(width, 1), 1);
    const bool streamed = ids.size() * width >= kStreamed;
    run_tasks((ids.size() + step - 1) / step, threads, [&](std::size_t task) {
        const std::size_t begin = task * step, end = std::min(ids.size(), begin + step);
        for (std::size_t i = begin; i < end; ++i) {
            if (i + kAhead < end) {
                const std::byte* next = table + static_cast<std::size_t>(ids[i + kAhead]) * width;
                for (std::size_t byte = 0; byte < width; byte += kLine)
                    __builtin_prefetch(next + byte, 0, kSecondCache);
            }
            const std::size_t place = places == nullptr ? i : static_cast<std::size_t>(places[i]);
            const std::byte* row = table + static_cast<std::size_t>(ids[i]) * width;
            if (streamed)
                kernels().stream_row(to + place * width, row, width);
            else
                std::memcpy(to + place * width, row, width);
        }
        if (streamed) finish_stream();
    });
}

void sum_rows(float* to, std::size_t count, std::size_t width, std::span<const PlacedRows> parts, bool onto,
              unsigned threads) {
    if (count * width * sizeof(float) < kBytesOfTask) threads = 1;
    in_columns(width, threads, [&](std::size_t begin, std::size_t end) {
        std::vector<char> written(count, onto);
        for (const auto& [places, rows] : parts) {
            const float* from = rows;
            for (const std::int64_t place : places) {
                float* row = to + static_cast<std::size_t>(place) * width;
                if (std::exchange(written[static_cast<std::size_t>(place)], true)) {
                    for (std::size_t d = begin; d < end; ++d) row[d] += from[d];
                } else {
                    std::copy(from + begin, from + end, row + begin);
                }
                from += width;
            }
        }
        for (std::size_t place = 0; place < count; ++place)
            if (!written[place]) std::fill(to + place * width + begin, to + place * width + end, 0.0f);
    });
}

}  // namespace graphkit
