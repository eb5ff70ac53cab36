// From the position of an edge in the index to its run and its head: a sparse directory, and a short scan from there.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/index.hpp"

namespace graphkit {

class EdgeDirectory {
  public:
    template <class Rel, class Offset>
    void build(const IndexView<Rel, Offset>& graph) {
        runs_.clear();
        heads_.clear();
        std::uint64_t run = 0;
        for (std::uint64_t edge = 0; edge < graph.num_edges(); edge += kEdges) {
            while (graph.run_starts[run + 1] <= edge) ++run;
            runs_.push_back(run);
        }
        std::uint64_t head = 0;
        for (std::uint64_t r = 0; r < graph.run_relations.size(); r += kRuns) {
            while (graph.entity_runs[head + 1] <= r) ++head;
            heads_.push_back(static_cast<Entity>(head));
        }
    }

    void prefetch_run(std::uint64_t edge) const { __builtin_prefetch(&runs_[edge / kEdges]); }
    std::uint64_t run_near(std::uint64_t edge) const { return runs_[edge / kEdges]; }
    // The run that holds an edge.
    template <class Rel, class Offset>
    std::uint64_t run_of(const IndexView<Rel, Offset>& graph, std::uint64_t edge) const {
        std::uint64_t run = run_near(edge);
        while (graph.run_starts[run + 1] <= edge) ++run;
        return run;
    }

    void prefetch_head(std::uint64_t run) const { __builtin_prefetch(&heads_[run / kRuns]); }
    Entity head_near(std::uint64_t run) const { return heads_[run / kRuns]; }
    // The entity that owns a run.
    template <class Rel, class Offset>
    Entity head_of(const IndexView<Rel, Offset>& graph, std::uint64_t run) const {
        Entity head = head_near(run);
        while (graph.entity_runs[head + 1] <= run) ++head;
        return head;
    }

  private:
    static constexpr std::uint64_t kEdges = 64, kRuns = 32;  // of an entry

    std::vector<std::uint64_t> runs_;
    std::vector<Entity> heads_;
};

}  // namespace graphkit
