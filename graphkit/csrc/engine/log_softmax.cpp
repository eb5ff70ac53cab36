#include "engine/log_softmax.hpp"

#include "engine/kernels.hpp"
#include "machine/threads.hpp"

namespace graphkit {
namespace {

char* row_of(const LogitChunk& chunk, std::size_t row) {
    return static_cast<char*>(chunk.logits) + row * chunk.columns * (chunk.halves ? 2 : 4);
}

}  // namespace

void softmax_sums(const LogitChunk& chunk, float* most, float* totals, unsigned threads) {
    run_tasks(chunk.rows, threads, [&](std::size_t row) {
        kernels().softmax_sums(row_of(chunk, row), chunk.halves, chunk.columns, most[row], totals[row]);
    });
}

void softmax_gradients(const LogitChunk& chunk, const float* log_totals, const float* weights, unsigned threads) {
    run_tasks(chunk.rows, threads, [&](std::size_t row) {
        kernels().softmax_gradients(row_of(chunk, row), chunk.halves, chunk.columns, log_totals[row], weights[row]);
    });
}

}  // namespace graphkit
