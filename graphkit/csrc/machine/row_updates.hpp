// How fast this machine updates rows of a large table in place, at random: what bounds a sparse optimiser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace graphkit {

// Reads the rows `ids` of `table` [N, width], adds 1 to each value and writes it, each thread a like share of the ids,
// with a software prefetch `ahead` rows before. Returns the seconds that it took. Ids are rows of the table.
double measure_row_updates(float* table, std::size_t width, std::span<const std::int64_t> ids, unsigned threads,
                           std::size_t ahead);

}  // namespace graphkit
