// What is asked of the query sampler, what it fills, and what it fills it with.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "queries/block_answers.hpp"
#include "queries/executor.hpp"
#include "samplers/block.hpp"
#include "samplers/corruption.hpp"
#include "samplers/negatives.hpp"

namespace graphkit {

enum class Negatives : std::uint8_t {
    kNone,    // positives only, for losses over all entities
    kOwn,     // `negatives` non-answers for each query
    kShared,  // one list of candidates a chunk of the batch, with a mask of those that are no answers
};

struct QueryOptions {
    std::uint64_t batch_size = 0;
    std::uint64_t negatives = 0;
    // Of a batch, whose queries share candidates: query b is of chunk b * chunks / batch_size.
    std::uint64_t chunks = 1;
    Negatives mode = Negatives::kNone;
    Corruption corruption = Corruption::kUniform;
    AnswerDraw answers = AnswerDraw::kUniform;
    bool backtracking = true;
    // Entities and edges at most that a step goes along to list all answers of a query (block_answers.hpp).
    std::uint64_t expansion_limit = std::numeric_limits<std::int64_t>::max();
    // Answers that a multi-hop query must have at least and at most.
    std::uint64_t min_answers = 1, max_answers = std::numeric_limits<std::int64_t>::max();
    // Walks at most that are tried for a query, and for a block of queries before the first of them is drawn.
    std::uint64_t attempts = 1;
    std::uint64_t seed = 0;
};

// Row-major arrays of one batch; B = batch_size, K = negatives, C = chunks.
struct QueryBatch {
    static constexpr std::int64_t kAllDrawn = -1;

    std::uint64_t number = 0;
    std::vector<std::int64_t> sizes;       // [segments] queries of each
    std::vector<std::int64_t> rows;        // ids of the queries, segment by segment
    std::vector<std::int64_t> positives;   // [B] an answer of the query
    std::vector<std::int64_t> counts;      // [B] number of answers in the graph, an estimate where not counted
    std::vector<std::uint8_t> counted;     // [B] whether all answers were listed
    std::vector<double> log_probs;         // [B] of the walk among all walks, before any is rejected
    std::vector<std::int64_t> candidates;  // [B, K] own, [C, K] shared, empty without negatives
    std::vector<std::uint8_t> mask;        // [B, K] 1 = verified: not an answer of the query
    std::vector<float> log_weights;        // of the candidates, in the same places; empty where drawn uniformly
    std::vector<std::int64_t> outcomes;    // [segments, kOutcomes] attempts by what became of them
    std::int64_t failed = kAllDrawn;       // a segment of which a query could not be drawn: the batch is void
};

// What one thread needs to fill a batch, kept from batch to batch.
struct SamplingSpace {
    explicit SamplingSpace(std::uint64_t num_entities)
        : answers(num_entities), all_answers(num_entities), shared(num_entities) {}

    Block block;
    BlockSpace answers;
    ExecutionSpace all_answers;  // of a query that is listed after all
    std::vector<std::uint32_t> pending, drawn, rejected, hits;
    std::vector<Entity> redrawn;
    std::vector<Asked> asked;
    std::vector<std::uint8_t> held, tested;
    SharedCandidates shared;
    CorruptionSpace corruption;
};

}  // namespace graphkit
