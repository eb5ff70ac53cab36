// What negatives are drawn with, and the candidates that a batch shares.
#pragma once

#include <cstdint>
#include <numeric>
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

// The candidates of a chunk of a batch.
class SharedCandidates {
  public:
    explicit SharedCandidates(std::uint64_t num_entities) : members_(num_entities) {}

    // Takes those that were drawn.
    void take(std::span<const std::int64_t> list);
    // Writes 1 for the candidates that are no answers, from the shorter side.
    void mask(const EntitySet& answers, std::span<std::uint8_t> mask) const;
    // In the order of the list.
    std::span<const Entity> entities() const { return entities_; }

    // Groups the candidates by the relations that they have.
    template <class Rel, class Offset>
    void group(const IndexView<Rel, Offset>& graph) {
        for (const Entity x : entities_) graph.prefetch_head(x);
        for (const Entity x : entities_) __builtin_prefetch(graph.run_relations.data() + graph.first_run(x));
        ends_.assign(1, 0);
        each_run(graph, [&](std::uint64_t relation, std::uint32_t) {
            if (ends_.size() < relation + 2) ends_.resize(relation + 2);
            ++ends_[relation + 1];
        });
        std::partial_sum(ends_.begin(), ends_.end(), ends_.begin());
        places_.resize(ends_.back());
        // Where a group begins becomes where it ends, and that of the one before where it begins.
        each_run(graph, [&](std::uint64_t relation, std::uint32_t place) { places_[ends_[relation]++] = place; });
    }
    // The places of those that have a relation, in ascending order.
    std::span<const std::uint32_t> having(std::uint64_t relation) const {
        if (relation + 1 >= ends_.size()) return {};
        const std::size_t begin = relation == 0 ? 0 : ends_[relation - 1];
        return std::span(places_).subspan(begin, ends_[relation] - begin);
    }

  private:
    template <class Rel, class Offset, class Visit>
    void each_run(const IndexView<Rel, Offset>& graph, Visit visit) const {
        for (std::uint32_t k = 0; k < entities_.size(); ++k)
            for (std::uint64_t run = graph.first_run(entities_[k]); run < graph.first_run(entities_[k] + 1); ++run)
                visit(graph.run_relations[run], k);
    }

    std::vector<std::pair<Entity, std::uint32_t>> sorted_;  // by entity, with the place in the list
    std::vector<Entity> entities_;
    Members members_;                    // the candidates
    std::vector<std::size_t> ends_;      // of the groups, by relation
    std::vector<std::uint32_t> places_;  // of the candidates of each group
};

}  // namespace graphkit
