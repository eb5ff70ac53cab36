// Entities that are no answers: drawn exactly for each query, or shared by a batch and masked.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "graph/index.hpp"
#include "queries/entity_set.hpp"
#include "samplers/philox.hpp"

namespace graphkit {

// Tells the answers of a query from other entities, by whichever way is cheapest for so many answers and tests, until
// the next operation of `sets`.
class AnswerTest {
  public:
    AnswerTest(const EntitySet& answers, std::size_t tests, SetSpace& sets);

    bool operator()(Entity x) const;
    // Whether any of these is an answer.
    bool any(std::span<const std::int64_t> entities) const;

  private:
    enum class Way : std::uint8_t { kCompare, kSearch, kMark };

    std::span<const Entity> answers_;
    const Marks* marks_ = nullptr;
    Way way_ = Way::kMark;
};

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

// Fills `row` with entities drawn uniformly from the non-answers: entities are drawn, and those that are answers drawn
// again, unless most are; then ranks among the non-answers are drawn. Rows without a non-answer are all 0.
void draw_own(const EntitySet& answers, std::uint64_t num_entities, const AnswerTest& is_answer, LaneRandom& random,
              std::span<std::int64_t> row, SetSpace& sets);

// The candidates of a batch, drawn uniformly from all entities.
class SharedCandidates {
  public:
    explicit SharedCandidates(std::uint64_t num_entities) : num_entities_(num_entities), marks_(num_entities) {}

    // Draws as many as `list` has room for.
    void draw(LaneRandom random, std::span<std::int64_t> list);
    // Writes 1 for the candidates that are no answers, from the shorter side.
    void mask(const EntitySet& answers, std::span<std::uint8_t> mask) const;

  private:
    std::uint64_t num_entities_;
    std::vector<std::pair<Entity, std::uint32_t>> sorted_;  // by entity, with the place in the list
    std::vector<Entity> entities_;
    Marks marks_;  // of the candidates
};

}  // namespace graphkit
