// Scores of pairs of a query and a row, and their gradients, on several threads. Results do not depend on how many.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/kernels.hpp"

namespace graphkit {

// Brings pairs into the order of their rows, equal rows in the order of the pairs: fills order [pairs] and offsets
// [num_rows + 1]. Returns the first pair whose place is no row, and leaves both unfinished then.
std::optional<std::size_t> group_pairs(std::span<const std::int64_t> places, std::span<std::uint32_t> order,
                                       std::span<std::int64_t> offsets);

// Fills scores [pairs].
void own_scores(const PairInput&, const OwnPairs&, float* scores, unsigned threads);

// Fills of_queries [num_queries, query_width] and of_rows [num_rows, row_width] from the gradient of each pair; for
// distances of kind l2, divided by the distance.
void own_gradients(const PairInput&, const OwnPairs&, const float* weights, float* of_queries, float* of_rows,
                   unsigned threads);

// Fills scores [num_queries, num_rows].
void shared_scores(const PairInput&, float* scores, unsigned threads);

// As `own_gradients`, from weights [num_queries, num_rows].
void shared_gradients(const PairInput&, const float* weights, float* of_queries, float* of_rows, unsigned threads);

}  // namespace graphkit
