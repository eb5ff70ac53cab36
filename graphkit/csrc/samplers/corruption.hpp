// What negatives and candidates are drawn by where that is not uniform. Each has a weight u(x) / p(x), where p is the
// probability to draw x, and u = 1 / N that of a uniform draw, both before answers are drawn again.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "samplers/philox.hpp"

namespace graphkit {

enum class Corruption : std::uint8_t {
    kUniform,  // over the entities
    kDegree,   // in proportion to the number of edges
    kTyped,    // one of the relations that lead to the answer, then uniformly of what that leads to anywhere
};

// The weight of an entity that is drawn by degree.
template <class Rel, class Offset>
double degree_weight(const IndexView<Rel, Offset>& graph, std::uint64_t x) {
    return static_cast<double>(graph.num_edges()) /
           (static_cast<double>(graph.num_entities()) * static_cast<double>(graph.degree(x)));
}

// What is made of a graph once.
struct CorruptionTables {
    template <class Rel, class Offset>
    CorruptionTables(const IndexView<Rel, Offset>& graph, Corruption kind) : by(kind) {
        if (by == Corruption::kDegree) weigh_degrees(graph);
        if (by == Corruption::kTyped) list_ranges(graph);
    }

    // What a directed relation leads to, ascending.
    std::span<const Entity> range(std::uint64_t relation) const {
        return std::span(ranges).subspan(range_starts[relation], range_starts[relation + 1] - range_starts[relation]);
    }

    Corruption by;
    std::vector<float> log_weights;           // [N] of kDegree
    std::vector<std::uint64_t> range_starts;  // [directed relations + 1] of kTyped
    std::vector<Entity> ranges;               // [runs] of kTyped

  private:
    template <class Rel, class Offset>
    void weigh_degrees(const IndexView<Rel, Offset>& graph) {
        log_weights.resize(graph.num_entities());
        for (std::uint64_t x = 0; x < log_weights.size(); ++x)
            log_weights[x] = static_cast<float>(std::log(degree_weight(graph, x)));
    }

    // A relation leads to the entities that have a run of its inverse.
    template <class Rel, class Offset>
    void list_ranges(const IndexView<Rel, Offset>& graph) {
        std::uint64_t relations = 0;
        for (const Rel r : graph.run_relations) relations = std::max<std::uint64_t>(relations, (r | 1) + 1);
        range_starts.assign(relations + 1, 0);
        for (const Rel r : graph.run_relations) ++range_starts[(r ^ 1) + 1];
        for (std::uint64_t r = 0; r < relations; ++r) range_starts[r + 1] += range_starts[r];
        std::vector<std::uint64_t> ends(range_starts.begin(), range_starts.end() - 1);
        ranges.resize(graph.run_relations.size());
        for (std::uint64_t x = 0; x < graph.num_entities(); ++x)
            for (std::uint64_t run = graph.entity_runs[x]; run < graph.entity_runs[x + 1]; ++run)
                ranges[ends[graph.run_relations[run] ^ 1]++] = static_cast<Entity>(x);
    }
};

// What is kept from query to query, so that nothing is allocated.
struct CorruptionSpace {
    std::vector<std::uint64_t> relations;
    std::vector<std::uint32_t> chosen;  // by places of a row: the relation that was drawn
};

// Draws for one query at a time.
template <class Rel, class Offset>
class CorruptionDraw {
  public:
    CorruptionDraw(const IndexView<Rel, Offset>& graph, const CorruptionTables& tables, CorruptionSpace& space)
        : graph_(graph), tables_(tables), space_(space) {
        space_.relations.clear();
    }

    // Turns to a query of some ids, of which those in the columns `leading` are the relations that lead to its answer.
    void turn_to(const std::int64_t* ids, std::span<const std::uint32_t> leading) {
        if (tables_.by != Corruption::kTyped) return;
        space_.relations.clear();
        for (const std::uint32_t column : leading) space_.relations.push_back(static_cast<std::uint64_t>(ids[column]));
    }

    // Whether every entity is as probable as the others: also where no relation leads to the answer.
    bool uniform() const {
        return tables_.by == Corruption::kUniform || (tables_.by == Corruption::kTyped && space_.relations.empty());
    }

    // Draws entities for some places of a row, where `uniform` is false. First where each is to be found, then it.
    void draw(std::span<std::int64_t> row, std::span<const std::uint32_t> places, SplitMix& numbers) const {
        const std::span<const Entity> list = tables_.by == Corruption::kDegree ? graph_.targets : tables_.ranges;
        space_.chosen.resize(row.size());
        for (const std::uint32_t k : places) {
            const std::uint64_t place =
                tables_.by == Corruption::kDegree ? numbers.below(list.size()) : typed(numbers, space_.chosen[k]);
            row[k] = static_cast<std::int64_t>(place);
            __builtin_prefetch(&list[place]);
        }
        for (const std::uint32_t k : places) row[k] = static_cast<std::int64_t>(list[static_cast<std::size_t>(row[k])]);
    }

    // The weight of an entity that was drawn.
    double weight(std::uint64_t x) const {
        if (uniform()) return 1;
        if (tables_.by == Corruption::kDegree) return degree_weight(graph_, x);
        return typed_weight(share_of(x, space_.relations.size()));
    }

    // Writes the logarithm of the weight of each entity of a row.
    void weigh(std::span<const std::int64_t> row, std::span<float> log_weights) const {
        if (tables_.by == Corruption::kDegree) {
            for (const std::int64_t x : row) __builtin_prefetch(&tables_.log_weights[static_cast<std::size_t>(x)]);
            for (std::size_t k = 0; k < row.size(); ++k)
                log_weights[k] = tables_.log_weights[static_cast<std::size_t>(row[k])];
        } else if (space_.relations.size() == 1) {
            const double share = 1 / static_cast<double>(tables_.range(space_.relations[0]).size());
            std::ranges::fill(log_weights, static_cast<float>(std::log(typed_weight(share))));
        } else {
            weigh_by_relations(row, log_weights);
        }
    }

  private:
    // A place in the list of all ranges.
    std::uint64_t typed(SplitMix& numbers, std::uint32_t& chosen) const {
        const std::size_t relations = space_.relations.size();
        chosen = relations == 1 ? 0 : static_cast<std::uint32_t>(numbers.below(relations));
        const std::uint64_t relation = space_.relations[chosen];
        return tables_.range_starts[relation] + numbers.below(tables_.range(relation).size());
    }

    // The probabilities of an entity once a relation is drawn, added up; `chosen` is known to lead to it.
    double share_of(std::uint64_t x, std::size_t chosen) const {
        double share = 0;
        for (std::size_t i = 0; i < space_.relations.size(); ++i) {
            const std::uint64_t inverse = space_.relations[i] ^ 1;
            if (i == chosen || (graph_.may_have(x, inverse) && graph_.find_run(x, inverse) != graph_.kNoRun))
                share += 1 / static_cast<double>(tables_.range(space_.relations[i]).size());
        }
        return share;
    }

    double typed_weight(double share) const {
        return static_cast<double>(space_.relations.size()) / (static_cast<double>(graph_.num_entities()) * share);
    }

    // Passes that each fetch what the next one reads.
    void weigh_by_relations(std::span<const std::int64_t> row, std::span<float> log_weights) const {
        for (const std::int64_t x : row) graph_.prefetch_head(static_cast<std::uint64_t>(x));
        for (const std::int64_t x : row)
            __builtin_prefetch(graph_.run_relations.data() + graph_.first_run(static_cast<std::uint64_t>(x)));
        for (std::size_t k = 0; k < row.size(); ++k)
            log_weights[k] = static_cast<float>(
                std::log(typed_weight(share_of(static_cast<std::uint64_t>(row[k]), space_.chosen[k]))));
    }

    const IndexView<Rel, Offset>& graph_;
    const CorruptionTables& tables_;
    CorruptionSpace& space_;
};

}  // namespace graphkit
