// Batches of queries of any structures, with verified answers and exactly verified negatives.
//
// A batch is a function of its number alone. Queries of the structures stand in segments; query g of the stream (batch
// number * B + place, places counted before sorting into segments) has structure g modulo the number of structures, so
// that shares are equal in the long run whatever the batch size.
//
// One-hop queries visit every directed edge once an epoch, in an order keyed by (seed, epoch); shared candidates visit
// every entity once an epoch of their own (by degree: the end of every directed edge). Queries of any other
// structure are walks (walk.hpp) of which those are rejected that a filter names (Outcome). Their answers are listed
// where that is cheap, and other entities tested one by one (block_answers.hpp): exactly, whichever way.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "graph/index.hpp"
#include "queries/block_answers.hpp"
#include "queries/program.hpp"
#include "samplers/edges.hpp"
#include "samplers/query_batch.hpp"
#include "samplers/verifier.hpp"
#include "samplers/walk.hpp"

namespace graphkit {

class QuerySampling {
  public:
    template <class Rel, class Offset>
    QuerySampling(const IndexView<Rel, Offset>& graph, const std::vector<Program>& programs,
                  const QueryOptions& options);

    const QueryOptions& options() const { return options_; }

    template <class Rel, class Offset>
    void fill(const IndexView<Rel, Offset>& graph, std::uint64_t number, const std::stop_token& stop,
              SamplingSpace& space, QueryBatch& out) const;

  private:
    struct Segment {
        std::uint64_t index = 0;       // among the segments
        std::uint64_t lane = 0;        // first lane in the batch
        std::uint64_t size = 0;        // lanes
        std::uint64_t position = 0;    // of the first in the stream of the structure
        std::int64_t* rows = nullptr;  // of the first
    };

    std::uint64_t queries_before(std::uint64_t batch, std::uint64_t segment) const;

    template <class Rel, class Offset>
    void fill_edges(const IndexView<Rel, Offset>& graph, const Segment& segment, SamplingSpace& space,
                    Verifier<Rel, Offset>& verifier, QueryBatch& out) const;
    template <class Rel, class Offset>
    bool fill_walks(const IndexView<Rel, Offset>& graph, const Segment& segment, const std::stop_token& stop,
                    SamplingSpace& space, Verifier<Rel, Offset>& verifier, QueryBatch& out) const;

    std::vector<Walk> walks_;
    std::vector<BlockPlan> plans_;
    QueryOptions options_;
    CorruptionTables tables_;
    EdgeDirectory edges_;         // built for one-hop queries alone
    std::uint64_t one_hops_ = 0;  // segments of one-hop queries, which share the epochs
};

}  // namespace graphkit
