// Counts of candidates that score above, and level with, answers, on several threads: what filtered ranks are made of.
// Known entities are no candidates. Results do not depend on how many threads there are.
#pragma once

#include "engine/kernels.hpp"

namespace graphkit {

// Answers of queries, those of query b from offsets[b] to offsets[b + 1], and what is counted for each.
struct RankInput {
    const float* scores;  // [answers], ascending within a query
    const std::int64_t* offsets;
    const std::int64_t* known;  // entities that are no candidates, ascending within a query
    const std::int64_t* known_offsets;
    std::int64_t first;  // the entity of the first score or row
    std::int64_t* above;
    std::int64_t* level;
};

// Adds to in.above and in.level what scores [num_queries, width] of entities in.first to in.first + width count, and
// fills wrong [num_queries]: whether a score, of a known entity or not, is not a number.
void count_scores(const float* scores, std::size_t num_queries, std::size_t width, const RankInput& in, bool* wrong,
                  unsigned threads);

// The same for the scores `offset - distance` of all pairs, which are never stored.
void count_pairs(const PairInput&, float offset, const RankInput& in, bool* wrong, unsigned threads);

}  // namespace graphkit
