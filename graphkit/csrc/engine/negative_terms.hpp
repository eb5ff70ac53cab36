// What losses make of the logits of negatives [queries, count]: a term and slopes for each query.
#pragma once

#include <cstddef>

namespace graphkit {

struct Negatives {
    const float* logits;
    const bool* mask;  // whether a negative counts
    std::size_t queries, count;
};

// terms[b] = sum of p * softplus(logit) over what counts, where p is the softmax of sharpness * logit, held fixed;
// slopes are those of the term.
void softplus_terms(const Negatives&, float sharpness, float* terms, float* slopes, unsigned threads);

// terms[b] = logarithm of the sum of e^logit over what counts, -infinity where nothing does.
void log_sum_terms(const Negatives&, float* terms, float* slopes, unsigned threads);

}  // namespace graphkit
