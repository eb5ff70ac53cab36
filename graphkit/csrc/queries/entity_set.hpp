// Sets of entities, and what queries do with them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "queries/members.hpp"

namespace graphkit {

// Distinct entities, or all but these. The memory belongs to the index (a single run is not copied) or to a SetSpace.
struct EntitySet {
    std::span<const Entity> entities;
    bool sorted = true;  // ascending
    bool complement = false;
    RunSketch sketch = {};  // where the entities are a long run
};

template <class Rel, class Offset>
EntitySet set_of(const IndexView<Rel, Offset>& graph, std::span<const Entity> run) {
    return {run, true, false, graph.sketch_of(run)};
}

// Operations on sets, and the memory of their results, which is kept from query to query.
class SetSpace {
  public:
    explicit SetSpace(std::uint64_t num_entities) : num_entities_(num_entities), members_(num_entities) {}

    // Whether a bit for each entity is too much to stay near.
    bool large() const { return members_.large(); }

    // Lets go of all sets made so far.
    void reset() {
        restart(0);
        used_ = 0;
    }

    EntitySet single(Entity x) {
        std::vector<Entity>& made = buffer();
        made.push_back(x);
        return {made};
    }

    // What a relation leads to from the entities of a set, which is no complement.
    template <class Rel, class Offset>
    EntitySet project(const IndexView<Rel, Offset>& graph, const EntitySet& from, std::uint64_t relation) {
        const auto sources = from.entities;
        if (sources.empty()) return {};
        if (sources.size() == 1) return set_of(graph, graph.neighbors(sources[0], relation));
        restart(num_entities_);
        std::vector<Entity>& made = buffer();
        for (std::size_t i = 0; i < sources.size(); i += kGroup) {
            const auto group = sources.subspan(i, std::min(kGroup, sources.size() - i));
            for (const auto run : runs_of(graph, group, relation)) insert(run, made);
        }
        current_ = made;
        return {made, false};
    }

    // Whether the sources have at most so many edges of a relation.
    template <class Rel, class Offset>
    bool has_at_most(const IndexView<Rel, Offset>& graph, std::span<const Entity> sources, std::uint64_t relation,
                     std::uint64_t limit) {
        std::uint64_t edges = 0;
        for (std::size_t begin = 0; begin < sources.size() && edges <= limit; begin += kGroup) {
            const auto group = sources.subspan(begin, std::min(kGroup, sources.size() - begin));
            for (const auto& run : runs_of(graph, group, relation)) edges += run.size();
        }
        return edges <= limit;
    }

    // The entities of some runs, each once.
    EntitySet unite(std::span<const std::span<const Entity>> runs);

    // Complements are resolved against the others, so that no step is as large as the graph unless its operands are.
    EntitySet intersect(std::span<EntitySet> sets);
    EntitySet unite(std::span<EntitySet> sets);

    // The entities of a set whose flag is not 0, in their order.
    EntitySet keep(const EntitySet& set, const std::uint8_t* flags) {
        std::vector<Entity>& kept = buffer();
        for (std::size_t i = 0; i < set.entities.size(); ++i)
            if (flags[i]) kept.push_back(set.entities[i]);
        return {kept, set.sorted, set.complement};
    }

    // The same set in ascending order.
    EntitySet sort(const EntitySet& set);

    // The entities of a set, and nothing else, until the next operation on sets.
    const Members& members(const EntitySet& set) {
        if (current_.data() == set.entities.data() && current_.size() == set.entities.size()) return members_;
        restart(set.entities.size());
        for (const Entity x : set.entities) members_.insert(x);
        current_ = set.entities;
        return members_;
    }

  private:
    // Sources whose look-ups wait for memory together.
    static constexpr std::size_t kGroup = 32;
    using Runs = std::array<std::span<const Entity>, kGroup>;

    // The runs of a group of sources, in three short passes that each fetch what the next one reads.
    template <class Rel, class Offset>
    std::span<const std::span<const Entity>> runs_of(const IndexView<Rel, Offset>& graph,
                                                     std::span<const Entity> sources, std::uint64_t relation) {
        for (const Entity x : sources) graph.prefetch_head(x);
        for (const Entity x : sources)
            if (graph.may_have(x, relation)) graph.prefetch_runs(x);
        for (std::size_t j = 0; j < sources.size(); ++j) {
            runs_[j] = {};
            if (!graph.may_have(sources[j], relation)) continue;
            runs_[j] = graph.neighbors(sources[j], relation);
            __builtin_prefetch(runs_[j].data());
        }
        return std::span(runs_).first(sources.size());
    }

    std::vector<Entity>& buffer() {
        if (used_ == buffers_.size()) buffers_.emplace_back();
        std::vector<Entity>& made = buffers_[used_++];
        made.clear();
        return made;
    }
    // Adds to `made` the entities of a list that are no members yet, and makes them some.
    void insert(std::span<const Entity> list, std::vector<Entity>& made) {
        for (const Entity x : list)
            if (members_.insert(x)) made.push_back(x);
    }
    EntitySet common(std::span<const EntitySet* const> inside, std::span<const EntitySet* const> outside);
    EntitySet united(std::span<const EntitySet* const> sets);
    void filter(std::vector<Entity>& kept, const EntitySet& set, bool wanted);
    // Empties the members, and makes room for up to so many.
    void restart(std::size_t most) {
        members_.clear(current_);
        current_ = {};
        members_.begin(most);
    }

    std::uint64_t num_entities_;
    Members members_;
    std::span<const Entity> current_;  // the members: the set of the last operation that needed them
    Runs runs_;
    std::deque<std::vector<Entity>> buffers_;  // a deque: those in use stay where they are
    std::size_t used_ = 0;
};

}  // namespace graphkit
