// The graph index: all edges of a graph in both directions, as a two-level CSR.
//
// An entity x owns a slice of runs, a run is one directed relation of x, and a run owns a slice of destinations in
// ascending order. Relation 2k is raw relation k forward, 2k+1 its inverse, so that IN(x, r) = OUT(x, r ^ 1) and one
// index serves both directions. The arrays may be mapped from a file; the view owns nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

#include "graph/run_sketch.hpp"

namespace graphkit {

// The first run of an entity, and a bit for each hash of a relation that it has.
template <class Offset>
struct EntityHead {
    Offset first_run;
    Offset relations;

    static Offset bit_of(std::uint64_t relation) {
        constexpr int kBits = std::numeric_limits<Offset>::digits;
        return Offset{1} << (relation * 0x9E3779B97F4A7C15ULL >> 32) % kBits;
    }
};

// Rel is uint16 or uint32, Offset is uint32 or uint64: the narrowest that fits, chosen when the index is built.
template <class Rel, class Offset>
struct IndexView {
    using RelType = Rel;
    using OffsetType = Offset;

    std::span<const Offset> entity_runs;  // [N + 1] first run of each entity
    std::span<const Rel> run_relations;   // [runs] directed relation, ascending within an entity
    std::span<const Offset> run_starts;   // [runs + 1] first edge of each run
    std::span<const Entity> targets;      // [E2] other endpoint, ascending within a run
    // Shortcuts (shortcuts.hpp), or empty.
    std::span<const EntityHead<Offset>> heads = {};  // [N + 1]
    std::span<const std::uint64_t> sketches = {};    // of long runs

    // Runs of an entity that are compared one after another, without a branch to guess wrong, rather than searched.
    static constexpr std::uint64_t kCountUpTo = 64;
    static constexpr std::uint64_t kNoRun = std::numeric_limits<std::uint64_t>::max();

    std::uint64_t num_entities() const { return entity_runs.size() - 1; }
    std::uint64_t num_edges() const { return targets.size(); }

    // Destinations of a run.
    std::span<const Entity> run(std::uint64_t i) const {
        return targets.subspan(run_starts[i], run_starts[i + 1] - run_starts[i]);
    }

    // What says of most entities that they are not in a run, if it has that.
    RunSketch sketch_of(std::span<const Entity> run) const {
        if (sketches.empty() || run.size() < RunSketch::kFrom) return {};
        const auto start = static_cast<std::uint64_t>(run.data() - targets.data());
        return RunSketch::at(sketches, start, run.size());
    }

    // The first run of an entity.
    std::uint64_t first_run(std::uint64_t x) const { return heads.empty() ? entity_runs[x] : heads[x].first_run; }
    // Fetches what `first_run` and `may_have` read.
    void prefetch_head(std::uint64_t x) const {
        if (heads.empty())
            __builtin_prefetch(&entity_runs[x]);
        else
            __builtin_prefetch(&heads[x]);
    }
    // Whether x has the relation, where that cannot be excluded.
    bool may_have(std::uint64_t x, std::uint64_t relation) const {
        return heads.empty() || (heads[x].relations & EntityHead<Offset>::bit_of(relation)) != 0;
    }

    // The number of the run (x, r), or kNoRun.
    std::uint64_t find_run(std::uint64_t x, std::uint64_t r) const {
        const std::uint64_t first = first_run(x), last = first_run(x + 1);
        if (r > std::numeric_limits<Rel>::max()) return kNoRun;
        const auto relation = static_cast<Rel>(r);
        std::uint64_t found = first;
        if (last - first <= kCountUpTo) {
            Rel below = 0;  // narrow, so that one vector holds many
            for (std::uint64_t i = first; i < last; ++i) below += run_relations[i] < relation;
            found += below;
        } else {
            found = std::lower_bound(run_relations.begin() + first, run_relations.begin() + last, relation) -
                    run_relations.begin();
        }
        return found == last || run_relations[found] != relation ? kNoRun : found;
    }

    // Destinations of (x, r), ascending; empty when there are none.
    std::span<const Entity> neighbors(std::uint64_t x, std::uint64_t r) const {
        const std::uint64_t found = find_run(x, r);
        return found == kNoRun ? std::span<const Entity>() : run(found);
    }

    // Fetches what `neighbors` of x reads first, once its head has been.
    void prefetch_runs(std::uint64_t x) const {
        const std::uint64_t first = first_run(x);
        __builtin_prefetch(run_relations.data() + first);
        __builtin_prefetch(run_starts.data() + first);
    }

    std::uint64_t degree(std::uint64_t x) const { return run_starts[entity_runs[x + 1]] - run_starts[entity_runs[x]]; }

    bool has_edge(std::uint64_t x, std::uint64_t r, std::uint64_t y) const {
        const auto run = neighbors(x, r);
        return std::binary_search(run.begin(), run.end(), y);
    }
};

// Throws std::invalid_argument unless the arrays describe an index that every accessor can walk safely: a damaged
// file must be refused before a kernel reads out of bounds. O(N + runs + E2), sequential.
template <class Rel, class Offset>
void check_index(const IndexView<Rel, Offset>& g, std::uint64_t num_directed_relations) {
    const auto fail = [](const char* what) { throw std::invalid_argument(what); };
    if (g.entity_runs.empty() || g.run_starts.size() != g.run_relations.size() + 1) fail("array lengths disagree");
    if (g.entity_runs.front() != 0 || g.entity_runs.back() != g.run_relations.size()) fail("entity_runs has bad ends");
    if (g.run_starts.front() != 0 || g.run_starts.back() != g.targets.size()) fail("run_starts has bad ends");
    if (!std::is_sorted(g.entity_runs.begin(), g.entity_runs.end())) fail("entity_runs is not ascending");
    for (std::size_t i = 0; i + 1 < g.run_starts.size(); ++i) {
        if (g.run_starts[i] >= g.run_starts[i + 1]) fail("run_starts is not strictly ascending");
        if (g.run_relations[i] >= num_directed_relations) fail("a run names a relation out of range");
    }
    for (const Entity y : g.targets)
        if (y >= g.num_entities()) fail("an edge names an entity out of range");
}

// The arrays of a freshly built index; `duplicates` counts the input triples that stood there before.
template <class Rel, class Offset>
struct IndexArrays {
    std::vector<Offset> entity_runs;
    std::vector<Rel> run_relations;
    std::vector<Offset> run_starts;
    std::vector<Entity> targets;
    std::uint64_t duplicates = 0;

    IndexView<Rel, Offset> view() const { return {entity_runs, run_relations, run_starts, targets}; }
};

// One (head, relation, tail) triple in each row of three; relation is raw (0 .. R-1).
struct Triples {
    const std::int64_t* data;
    std::uint64_t rows;
};

// Row number of the first triple with an id out of range, or `rows` when all are good.
std::uint64_t first_bad_row(Triples triples, std::uint64_t num_entities, std::uint64_t num_relations);

// Builds the index: a counting pass over heads, a scatter of (relation, target) keys into each head's slice, and a
// radix sort of every slice. Peak memory beside the result is 8 bytes an edge and direction.
template <class Rel, class Offset>
IndexArrays<Rel, Offset> build_index(Triples triples, std::uint64_t num_entities);

}  // namespace graphkit
