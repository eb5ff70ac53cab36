// Table rows that are read, and steps that they take, on several threads. Rows that are written are distinct, so that
// no result depends on how many.
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

// Fills rows [count, width] with those of the ids.
void gather_rows(const RowGather&, std::size_t count, float* rows, unsigned threads);

// Takes a step of `rows` rows. Ids are distinct rows of the table.
void step_rows(const RowStep&, std::size_t rows, unsigned threads);

}  // namespace graphkit
