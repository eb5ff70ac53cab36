// Moments of rows of Beta distributions, and their gradients.
#pragma once

#include <cstddef>

namespace graphkit {

// Rows [rows, 2 * betas]: the parameters a of all Betas of a row, then all b, from 1e-3 to 1e4.
struct BetaRows {
    const float* parameters;
    std::size_t rows, betas;
};

// Fills statistics [rows, 2 * betas + 1]: ψ(a) - ψ(a + b), ψ(b) - ψ(a + b), and the entropy of all Betas of a row as it
// follows from these when they are rounded; and the logarithm of the beta function, summed over the Betas of a row.
void beta_moments(const BetaRows&, float* statistics, double* log_beta, unsigned threads);

// Fills gradients [rows, 2 * betas] from those of what `beta_moments` filled.
void beta_gradients(const BetaRows&, const float* statistics, const float* of_statistics, const double* of_log_beta,
                    float* gradients, unsigned threads);

}  // namespace graphkit
