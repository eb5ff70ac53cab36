// Moments of Betas and terms of negatives against plain loops, on every instruction set.
#include <cmath>
#include <memory>
#include <vector>

#include "check.hpp"
#include "engine/beta_moments.hpp"
#include "engine/kernels.hpp"
#include "engine/negative_terms.hpp"

using namespace graphkit;

namespace {

bool close(double found, double expected, double error) {
    return std::abs(found - expected) <= error * std::max(1.0, std::abs(expected));
}

double log_beta_of(double a, double b) { return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b); }

}  // namespace

TEST(moments_are_derivatives_of_the_log_beta_function) {
    constexpr double kStep = 1e-6;
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        for (const std::size_t betas : {1, 3, 8, 11}) {
            constexpr std::size_t kRows = 5;
            std::vector<float> x(kRows * 2 * betas), statistics(kRows * (2 * betas + 1)), gradients(x.size());
            for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.1f + static_cast<float>(i * 7 % 23) * 0.8f;
            std::vector<double> log_beta(kRows);
            const BetaRows rows{x.data(), kRows, betas};
            beta_moments(rows, statistics.data(), log_beta.data(), 2);
            for (std::size_t row = 0; row < kRows; ++row) {
                double total = 0, entropy = 0;
                for (std::size_t d = 0; d < betas; ++d) {
                    const double a = x[row * 2 * betas + d], b = x[row * 2 * betas + betas + d];
                    const float *u = &statistics[row * (2 * betas + 1) + d], *v = u + betas;
                    CHECK(close(*u, (log_beta_of(a + kStep, b) - log_beta_of(a - kStep, b)) / (2 * kStep), 1e-6));
                    CHECK(close(*v, (log_beta_of(a, b + kStep) - log_beta_of(a, b - kStep)) / (2 * kStep), 1e-6));
                    total += log_beta_of(a, b);
                    entropy += log_beta_of(a, b) - (a - 1) * *u - (b - 1) * *v;
                }
                CHECK(close(log_beta[row], total, 1e-11));
                CHECK(close(statistics[row * (2 * betas + 1) + 2 * betas], entropy, 1e-6));
            }
            // Of the log beta function alone, the gradient is the expectations.
            std::vector<float> of_statistics(statistics.size(), 0);
            const std::vector<double> of_log_beta(kRows, 1);
            beta_gradients(rows, statistics.data(), of_statistics.data(), of_log_beta.data(), gradients.data(), 2);
            for (std::size_t row = 0; row < kRows; ++row)
                for (std::size_t d = 0; d < 2 * betas; ++d)
                    CHECK(close(gradients[row * 2 * betas + d], statistics[row * (2 * betas + 1) + d], 1e-6));
        }
    }
}

TEST(terms_of_negatives_are_those_of_plain_loops) {
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        for (const std::size_t count : {1, 4, 15, 16, 17, 50}) {
            constexpr std::size_t kQueries = 3;
            std::vector<float> logits(kQueries * count), slopes(logits.size()), terms(kQueries);
            const auto mask = std::make_unique<bool[]>(logits.size());
            for (std::size_t i = 0; i < logits.size(); ++i) {
                logits[i] = static_cast<float>(i * 5 % 17) - 8;
                mask[i] = i % 3 != 1;
            }
            const Negatives input{logits.data(), mask.get(), kQueries, count};
            for (const float sharpness : {0.0f, 0.7f}) {
                softplus_terms(input, sharpness, terms.data(), slopes.data(), 1);
                for (std::size_t b = 0; b < kQueries; ++b) {
                    double total = 0, term = 0;
                    for (std::size_t i = b * count; i < (b + 1) * count; ++i)
                        if (mask[i]) total += std::exp(static_cast<double>(sharpness) * logits[i]);
                    for (std::size_t i = b * count; i < (b + 1) * count; ++i) {
                        const double share = mask[i] ? std::exp(static_cast<double>(sharpness) * logits[i]) / total : 0;
                        term += share * std::log1p(std::exp(static_cast<double>(logits[i])));
                        CHECK(close(slopes[i], share / (1 + std::exp(-static_cast<double>(logits[i]))), 1e-5));
                    }
                    CHECK(close(terms[b], term, 1e-5));
                }
            }
            log_sum_terms(input, terms.data(), slopes.data(), 1);
            for (std::size_t b = 0; b < kQueries; ++b) {
                double total = 0;
                for (std::size_t i = b * count; i < (b + 1) * count; ++i)
                    if (mask[i]) total += std::exp(static_cast<double>(logits[i]));
                CHECK(total == 0 ? terms[b] < -1e30f : close(terms[b], std::log(total), 1e-5));
            }
        }
    }
}

CHECK_MAIN()
