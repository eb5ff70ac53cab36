// What negatives are drawn with, and the candidates that a batch shares.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "graph/index.hpp"
#include "queries/entity_set.hpp"
#include "queries/members.hpp"

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

// Whether any of `row` is one of `members`, which are compared one by one.
bool has_any(std::span<const std::int64_t> row, std::span<const Entity> members);

// The candidates of a batch.
class SharedCandidates {
  public:
    explicit SharedCandidates(std::uint64_t num_entities) : members_(num_entities) {}

    // Takes those that were drawn.
    void take(std::span<const std::int64_t> list);
    // Writes 1 for the candidates that are no answers, from the shorter side.
    void mask(const EntitySet& answers, std::span<std::uint8_t> mask) const;
    // In the order of the list.
    std::span<const Entity> entities() const { return entities_; }

  private:
    std::vector<std::pair<Entity, std::uint32_t>> sorted_;  // by entity, with the place in the list
    std::vector<Entity> entities_;
    Members members_;  // the candidates
};

}  // namespace graphkit
