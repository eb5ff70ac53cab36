#include "engine/beta_moments.hpp"

#include "engine/kernels.hpp"
#include "machine/threads.hpp"

namespace graphkit {

void beta_moments(const BetaRows& in, float* statistics, double* log_beta, unsigned threads) {
    run_tasks(in.rows, threads, [&](std::size_t row) {
        kernels().beta_moments(in.parameters + row * 2 * in.betas, in.betas, statistics + row * (2 * in.betas + 1),
                               log_beta[row]);
    });
}

void beta_gradients(const BetaRows& in, const float* statistics, const float* of_statistics, const double* of_log_beta,
                    float* gradients, unsigned threads) {
    run_tasks(in.rows, threads, [&](std::size_t row) {
        const std::size_t first = row * 2 * in.betas, place = row * (2 * in.betas + 1);
        kernels().beta_gradients(in.parameters + first, in.betas, statistics + place, of_statistics + place,
                                 of_log_beta[row], gradients + first);
    });
}

}  // namespace graphkit
