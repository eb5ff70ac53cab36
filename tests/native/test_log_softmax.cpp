// Softmax of rows in chunks against plain loops, on every instruction set.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.hpp"
#include "engine/kernels.hpp"
#include "engine/log_softmax.hpp"

using namespace graphkit;

namespace {

std::uint16_t half(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<std::uint16_t>(bits >> 16);
}

float whole(std::uint16_t value) {
    const std::uint32_t bits = static_cast<std::uint32_t>(value) << 16;
    float found;
    std::memcpy(&found, &bits, sizeof found);
    return found;
}

void check_chunk(std::size_t rows, std::size_t columns, bool halves, unsigned threads) {
    std::mt19937 random(static_cast<unsigned>(rows + columns));
    std::normal_distribution<float> normal(0, 20);
    std::vector<float> logits(rows * columns);
    std::vector<std::uint16_t> rounded(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
        logits[i] = normal(random);
        rounded[i] = half(logits[i]);
        if (halves) logits[i] = whole(rounded[i]);
    }
    const LogitChunk chunk{halves ? static_cast<void*>(rounded.data()) : logits.data(), halves, rows, columns};
    const std::vector<float> before = logits;
    // As if a chunk with the logits 3 and -500 had been there before.
    std::vector<float> most(rows, 3), totals(rows, 1), log_totals(rows), weights(rows);
    softmax_sums(chunk, most.data(), totals.data(), threads);
    for (std::size_t row = 0; row < rows; ++row) {
        double expected = std::exp(3.0);
        for (std::size_t i = 0; i < columns; ++i) expected += std::exp(static_cast<double>(before[row * columns + i]));
        log_totals[row] = most[row] + std::log(totals[row]);
        CHECK(std::abs(log_totals[row] - std::log(expected)) < 1e-5 * std::max(1.0, std::abs(std::log(expected))));
        weights[row] = static_cast<float>(row) - 1;
    }
    softmax_gradients(chunk, log_totals.data(), weights.data(), threads);
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const std::size_t row = i / columns;
        const double expected = weights[row] * std::exp(static_cast<double>(before[i]) - log_totals[row]);
        const double found = halves ? whole(rounded[i]) : logits[i];
        CHECK(std::abs(found - expected) <= (halves ? 4e-3 : 1e-5) * std::abs(expected) + 1e-30);
    }
}

}  // namespace

TEST(sums_and_weights_are_those_of_plain_loops) {
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        for (const bool halves : {false, true})
            for (const std::size_t columns : {1, 3, 4, 15, 16, 17, 100}) check_chunk(5, columns, halves, 1);
        check_chunk(70, 300, false, 3);
    }
}

TEST(what_is_no_number_shows_in_the_sum) {
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        for (const std::size_t place : {0, 17, 36}) {
            std::vector<float> logits(37, 1);
            logits[place] = std::numeric_limits<float>::quiet_NaN();
            float most = -std::numeric_limits<float>::infinity(), total = 0;
            softmax_sums({logits.data(), false, 1, logits.size()}, &most, &total, 1);
            CHECK(std::isnan(total));
        }
    }
}

CHECK_MAIN()
