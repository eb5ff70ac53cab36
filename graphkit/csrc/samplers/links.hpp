// One-hop queries (x, r, ?) over the edges of an index, in both directions, with exactly verified negatives.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/index.hpp"

namespace graphkit {

enum class Negatives : std::uint8_t {
    kNone,    // positives only, for losses over all entities
    kOwn,     // `negatives` non-answers for each query
    kShared,  // one list of candidates a batch, with a mask of those that are no answers
};

struct LinkOptions {
    std::uint64_t batch_size = 0;
    std::uint64_t negatives = 0;
    Negatives mode = Negatives::kNone;
    std::uint64_t seed = 0;
};

// Row-major arrays of one batch; B = batch_size, K = negatives.
struct LinkBatch {
    std::uint64_t number = 0;
    std::vector<std::int64_t> queries;     // [B, 2] anchor, directed relation
    std::vector<std::int64_t> positives;   // [B] an answer of the query
    std::vector<std::int64_t> counts;      // [B] number of answers in the graph
    std::vector<std::int64_t> candidates;  // [B, K] own, [K] shared, empty without negatives
    std::vector<std::uint8_t> mask;        // [B, K] 1 = verified: not an answer of the query
};

// Fills batch `number` of the stream. Query `lane` of the batch has position number * B + lane in the stream; every E2
// positions form an epoch that visits each directed edge once, in an order keyed by (seed, epoch).
template <class Rel, class Offset>
void fill_links(const IndexView<Rel, Offset>& graph, const LinkOptions& options, std::uint64_t number, LinkBatch& out);

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

}  // namespace graphkit
