// Rows of a large table, copied to where a step wants them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace graphkit {

// Copies of as many bytes would leave the caches before a step reads them: they are streamed.
inline constexpr std::size_t kStreamed = std::size_t{1} << 24;

// Copies row ids[i] of a table with rows of `width` bytes to place places[i] of `to`, or to place i without places.
void gather_rows(const std::byte* table, std::size_t width, std::span<const std::int64_t> ids,
                 const std::int64_t* places, std::byte* to, unsigned threads);

// Rows, and the places that they are added to.
struct PlacedRows {
    std::span<const std::int64_t> places;
    const float* rows;
};

// Fills `to`, `count` rows of `width`: each is the sum of what is placed there, in the order of the parts; 0 where
// nothing is. With `onto`, what `to` held before comes first.
void sum_rows(float* to, std::size_t count, std::size_t width, std::span<const PlacedRows> parts, bool onto,
              unsigned threads);

}  // namespace graphkit
