// Batches of queries of any structures, with verified answers and exactly verified negatives.
//
// A batch is a function of its number alone. Queries of the structures stand in segments; query g of the stream (batch
// number * B + place, places counted before sorting into segments) has structure g modulo the number of structures, so
// that shares are equal in the long run whatever the batch size.
//
// One-hop queries visit every directed edge once an epoch, in an order keyed by (seed, epoch). Queries of any other
// structure are walks (walk.hpp) of which those are rejected that a filter names (Outcome): the answer that the walk
// began at is looked for among all answers of the query, which are executed forwards.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "graph/index.hpp"
#include "queries/executor.hpp"
#include "queries/program.hpp"
#include "samplers/block.hpp"
#include "samplers/edges.hpp"
#include "samplers/negatives.hpp"
#include "samplers/walk.hpp"

namespace graphkit {

enum class Negatives : std::uint8_t {
    kNone,    // positives only, for losses over all entities
    kOwn,     // `negatives` non-answers for each query
    kShared,  // one list of candidates a batch, with a mask of those that are no answers
};

struct QueryOptions {
    std::uint64_t batch_size = 0;
    std::uint64_t negatives = 0;
    Negatives mode = Negatives::kNone;
    AnswerDraw answers = AnswerDraw::kUniform;
    bool backtracking = true;
    // Walks at most that are tried for a query, and for a block of queries before the first of them is drawn.
    std::uint64_t attempts = 1;
    std::uint64_t seed = 0;
};

// Row-major arrays of one batch; B = batch_size, K = negatives.
struct QueryBatch {
    static constexpr std::int64_t kAllDrawn = -1;

    std::uint64_t number = 0;
    std::vector<std::int64_t> sizes;       // [segments] queries of each
    std::vector<std::int64_t> rows;        // ids of the queries, segment by segment
    std::vector<std::int64_t> positives;   // [B] an answer of the query
    std::vector<std::int64_t> counts;      // [B] number of answers in the graph
    std::vector<double> log_probs;         // [B] of the walk among all walks, before any is rejected
    std::vector<std::int64_t> candidates;  // [B, K] own, [K] shared, empty without negatives
    std::vector<std::uint8_t> mask;        // [B, K] 1 = verified: not an answer of the query
    std::vector<std::int64_t> outcomes;    // [segments, kOutcomes] attempts by what became of them
    std::int64_t failed = kAllDrawn;       // a segment of which a query could not be drawn: the batch is void
};

// What one thread needs to fill a batch, kept from batch to batch.
struct SamplingSpace {
    explicit SamplingSpace(std::uint64_t num_entities) : execution(num_entities), shared(num_entities) {}

    ExecutionSpace execution;
    Block block;
    std::vector<std::uint32_t> pending, rejected;
    SharedCandidates shared;
};

class QuerySampling {
  public:
    template <class Rel, class Offset>
    QuerySampling(const IndexView<Rel, Offset>& graph, std::vector<Program> programs, const QueryOptions& options);

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

    // Entities of a query that are looked for among its answers: the positive, and negatives of its own.
    std::size_t tests() const { return 1 + (options_.mode == Negatives::kOwn ? options_.negatives : 0); }
    std::uint64_t queries_before(std::uint64_t batch, std::uint64_t segment) const;

    template <class Rel, class Offset>
    void fill_edges(const IndexView<Rel, Offset>& graph, const Segment& segment, SamplingSpace& space,
                    QueryBatch& out) const;
    template <class Rel, class Offset>
    bool fill_walks(const IndexView<Rel, Offset>& graph, const Segment& segment, const std::stop_token& stop,
                    SamplingSpace& space, QueryBatch& out) const;
    template <class Rel, class Offset>
    void fetch_leaves(const IndexView<Rel, Offset>& graph, std::uint64_t segment, const SamplingSpace& space,
                      const std::int64_t* rows) const;
    template <class Rel, class Offset>
    Outcome verify(const IndexView<Rel, Offset>& graph, std::uint64_t segment, Entity positive, const std::int64_t* row,
                   std::uint64_t lane, LaneRandom& random, SamplingSpace& space, QueryBatch& out) const;
    void draw_negatives(const EntitySet& answers, const AnswerTest& is_answer, std::uint64_t num_entities,
                        std::uint64_t lane, LaneRandom& random, SamplingSpace& space, QueryBatch& out) const;

    std::vector<Program> programs_;
    std::vector<Walk> walks_;
    QueryOptions options_;
    EdgeDirectory edges_;         // built for one-hop queries alone
    std::uint64_t one_hops_ = 0;  // segments of one-hop queries, which share the epochs
};

}  // namespace graphkit
