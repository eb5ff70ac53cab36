// The attention over the branches of intersections, but for its matrix products; see
// graphkit/engine/kernels/branch_attention.py.
#pragma once

#include <cstddef>

#include "engine/kernels.hpp"

namespace graphkit {

// Adds the bias to hidden [M, width] and takes the positive part, in place; fills differences [M - B, width] of every
// branch but the first of a query from that one.
void attention_hidden(const BranchGroups&, float* hidden, const float* bias, std::size_t width, float* differences,
                      unsigned threads);

// Fills means [B, width] of the branches, weighted by the softmax of their scores.
void attention_means(const ScoredBranches&, float* means, unsigned threads);

// Fills the gradients of branches [M, width] and of scores [M - B, weights] from that of the means.
void attention_gradients(const ScoredBranches&, const float* of_means, float* of_branches, float* of_scores,
                         unsigned threads);

// Fills the gradient of what the bias was added to [M, width] from that of differences.
void attention_hidden_gradients(const BranchGroups&, const float* of_differences, const float* hidden,
                                std::size_t width, float* of_hidden, unsigned threads);

}  // namespace graphkit
