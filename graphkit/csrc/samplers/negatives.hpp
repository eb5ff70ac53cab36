// Entities that are no answers: drawn exactly, by rank, or shared by a batch and masked.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "graph/index.hpp"
#include "samplers/philox.hpp"

namespace graphkit {

// The value at rank u among the entities that are not in `answers` (ascending, distinct): exact, without rejection.
inline std::uint64_t non_answer(std::span<const Entity> answers, std::uint64_t u) {
    std::size_t low = 0, high = answers.size();
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (answers[middle] - middle <= u)
            low = middle + 1;
        else
            high = middle;
    }
    return u + low;
}

// Fills `row` with entities drawn uniformly from the non-answers. A query that everything answers has no negative: its
// row is filled and masked out.
void draw_own(std::span<const Entity> answers, std::uint64_t num_entities, LaneRandom& random,
              std::span<std::int64_t> row, std::span<std::uint8_t> mask);

// Candidates of a batch by entity, each with its place in the list.
using SharedCandidates = std::vector<std::pair<Entity, std::uint32_t>>;

// Fills `list` with entities drawn uniformly from all.
SharedCandidates draw_shared(std::uint64_t num_entities, LaneRandom random, std::span<std::int64_t> list);

// Marks the candidates that are no answers.
void mask_shared(std::span<const Entity> answers, const SharedCandidates& sorted, std::span<std::uint8_t> mask);

}  // namespace graphkit
