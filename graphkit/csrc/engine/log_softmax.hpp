// Softmax over all entities, whose logits are at hand chunk by chunk.
#pragma once

#include <cstddef>

namespace graphkit {

// Logits of a chunk, [rows, columns], float32 or the upper halves of it.
struct LogitChunk {
    void* logits;
    bool halves;
    std::size_t rows, columns;
};

// Goes on with the largest logit of each row and the sum of e^(logit - largest); at first -infinity and 0. A row with
// a NaN or an infinity has a sum of NaN.
void softmax_sums(const LogitChunk&, float* most, float* totals, unsigned threads);

// Replaces logits by weights[row] * e^(logit - log_totals[row]).
void softmax_gradients(const LogitChunk&, const float* log_totals, const float* weights, unsigned threads);

}  // namespace graphkit
