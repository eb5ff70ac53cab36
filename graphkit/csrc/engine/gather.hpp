// Rows of a large table, copied to where a step wants them.
#pragma once

#include <cstdint>
#include <span>

namespace graphkit {

// Copies row ids[i] of a table with rows of `width` bytes to place places[i] of `to`, or to place i without places.
void gather_rows(const std::byte* table, std::size_t width, std::span<const std::int64_t> ids,
                 const std::int64_t* places, std::byte* to, unsigned threads);

// Adds row i of `from` to row places[i] of `to`, one after the other.
void add_rows(float* to, std::size_t width, std::span<const std::int64_t> places, const float* from);

}  // namespace graphkit
