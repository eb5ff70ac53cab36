// Gradients of equal ids, added up in the order in which they occur: no result depends on the number of threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/kernels.hpp"

namespace graphkit {

// Ids that `group_ids` takes: those that a store can have.
constexpr std::uint64_t kMaxGroupedId = 0xFFFFFFFFU;

// Groups fewer than 2^32 places by their id: fills order [P], distinct [U], ascending, and offsets [U + 1] of the P and
// P + 1 that are there, and returns U. Ids are at most kMaxGroupedId.
std::size_t group_ids(std::span<const std::int64_t> ids, std::span<std::uint32_t> order,
                      std::span<std::int64_t> distinct, std::span<std::int64_t> offsets);

// Fills sums [groups, width].
void sum_groups(const RowGroups&, std::size_t groups, float* sums, unsigned threads);

}  // namespace graphkit
