#include "engine/negative_terms.hpp"

#include "engine/kernels.hpp"
#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Logits of a task: waking another thread takes as long as some thousand.
constexpr std::size_t kLogitsOfTask = std::size_t{1} << 16;

template <class Row>
void for_rows(const Negatives& in, unsigned threads, const Row& row) {
    const std::size_t step = in.count == 0 ? in.queries : (kLogitsOfTask + in.count - 1) / in.count;
    if (step == 0) return;
    run_tasks((in.queries + step - 1) / step, threads, [&](std::size_t task) {
        for (std::size_t b = task * step; b < in.queries && b < (task + 1) * step; ++b) row(b, b * in.count);
    });
}

}  // namespace

void softplus_terms(const Negatives& in, float sharpness, float* terms, float* slopes, unsigned threads) {
    for_rows(in, threads, [&](std::size_t b, std::size_t first) {
        terms[b] = kernels().softplus_term(in.logits + first, in.mask + first, in.count, sharpness, slopes + first);
    });
}

void log_sum_terms(const Negatives& in, float* terms, float* slopes, unsigned threads) {
    for_rows(in, threads, [&](std::size_t b, std::size_t first) {
        terms[b] = kernels().log_sum_term(in.logits + first, in.mask + first, in.count, slopes + first);
    });
}

}  // namespace graphkit
