// Steps of table rows on several threads. A row takes one step, with the sum of its gradients, so that no result
// depends on how many.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/kernels.hpp"

namespace graphkit {

// The place of the first id that is no row of a table of `rows`.
std::optional<std::size_t> first_bad_id(std::span<const std::int64_t> ids, std::size_t rows);

// The first of `rows` [rows, width] with a value that is not finite.
std::optional<std::size_t> first_not_finite(const float* values, std::size_t rows, std::size_t width, unsigned threads);

// Takes a step of `rows` rows. Ids are distinct rows of the table.
void step_rows(const RowStep&, std::size_t rows, unsigned threads);

// The same for ids in any order, of at most kMaxGroupedId, some of them several times: their gradients are added up, in
// the order in which they occur. Returns false, and has changed nothing, where a sum is not finite; gradients are.
bool step_summed_rows(const RowStep&, std::size_t rows, unsigned threads);

}  // namespace graphkit
