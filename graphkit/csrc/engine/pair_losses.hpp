// The log-sigmoid loss of queries against negatives that they share, where logits are a constant minus a distance.
#pragma once

#include "engine/kernels.hpp"

namespace graphkit {

struct SharedLoss {
    PairInput negatives;   // queries, and the rows that they are compared with, chunk after chunk
    std::size_t chunks;    // C: query b of B is compared with the rows of chunk b C / B
    const float* answers;  // [num_queries, row_width], one of each query
    const bool* mask;      // [num_queries, num_rows / chunks], whether a negative counts
    float offset;          // of logits: offset - distance
    float sharpness;       // of the weights of negatives; see negative_terms.hpp
};

// losses[b] = (softplus(-logit of the answer) + the term of the negatives) / 2; `slopes` of the negatives
// [num_queries, num_rows / chunks] and `of_answers` [num_queries] are its gradients with respect to distances (l2:
// divided by the distance).
void shared_losses(const SharedLoss&, float* losses, float* of_answers, float* slopes, unsigned threads);

// Fills the gradients of queries, answers and rows, given those of the losses and what `shared_losses` left.
void shared_loss_gradients(const PairInput& negatives, std::size_t chunks, const float* answers, const float* of_losses,
                           const float* of_answer_distances, const float* slopes, float* of_queries, float* of_answers,
                           float* of_rows, unsigned threads);

}  // namespace graphkit
