#include "engine/pair_losses.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/coordinates.hpp"
#include "machine/buffers.hpp"
#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Queries of a task: they stay in the second cache while all rows pass by.
constexpr std::size_t kQueriesOfTask = 64;

// Runs part(begin, end) for queries.
template <class Part>
void for_queries(const PairInput& in, unsigned threads, const Part& part) {
    in_steps(in.num_queries, kQueriesOfTask, threads, part);
}

PairInput slice(const PairInput& in, std::size_t begin, std::size_t end) {
    PairInput part = in;
    part.queries += begin * in.query_width;
    part.num_queries = end - begin;
    return part;
}

// The first query of a chunk.
std::size_t first_of(const PairInput& all, std::size_t chunks, std::size_t chunk) {
    return (chunk * all.num_queries + chunks - 1) / chunks;
}

// The rows of a chunk with the queries from begin to end, which are some of its own.
PairInput of_chunk(const PairInput& all, std::size_t chunks, std::size_t chunk, std::size_t begin, std::size_t end) {
    PairInput part = slice(all, begin, end);
    part.num_rows = all.num_rows / chunks;
    part.rows += chunk * part.num_rows * all.row_width;
    return part;
}

// The same queries with the answer of each.
PairInput with_answers(const PairInput& queries, const float* answers) {
    PairInput part = queries;
    part.rows = answers;
    part.num_rows = queries.num_queries;
    return part;
}

// What the gradients of distances of a kind are given by; see `shared_gradients`.
float of_distance(PairKind kind, float slope, float distance) {
    if (kind != PairKind::l2) return slope;
    return distance > 0 ? slope / distance : 0.0f;
}

}  // namespace

void shared_losses(const SharedLoss& in, float* losses, float* of_answers, float* slopes, unsigned threads) {
    const PairInput& all = in.negatives;
    const std::size_t count = all.num_rows / in.chunks;
    for_queries(all, threads_worth(all.num_queries * count, all, threads), [&](std::size_t begin, std::size_t end) {
        const PairInput here = slice(all, begin, end);
        const std::shared_ptr<void> scratch = take_buffer(here.num_queries * count * sizeof(float));
        float* const distances = static_cast<float*>(scratch.get());
        for (std::size_t first = begin; first < end;) {
            const std::size_t chunk = first * in.chunks / all.num_queries;
            const std::size_t last = std::min(end, first_of(all, in.chunks, chunk + 1));
            kernels().shared_scores(of_chunk(all, in.chunks, chunk, first, last), 0, count,
                                    distances + (first - begin) * count);
            first = last;
        }
        std::vector<float> logits(count), to_answers(here.num_queries), missed, of_missed(here.num_queries);
        kernels().paired_scores(with_answers(here, in.answers + begin * all.row_width), to_answers.data());
        for (const float distance : to_answers) missed.push_back(distance - in.offset);
        kernels().softplus(missed.data(), here.num_queries, losses + begin, of_missed.data());
        for (std::size_t b = begin; b < end; ++b) {
            const float* const row = distances + (b - begin) * count;
            float* const found = slopes + b * count;
            for (std::size_t u = 0; u < count; ++u) logits[u] = in.offset - row[u];
            const float term = kernels().softplus_term(logits.data(), in.mask + b * count, count, in.sharpness, found);
            losses[b] = 0.5f * (losses[b] + term);
            of_answers[b] = of_distance(all.kind, 0.5f * of_missed[b - begin], to_answers[b - begin]);
            for (std::size_t u = 0; u < count; ++u) found[u] *= -0.5f;
            if (all.kind == PairKind::l2)
                for (std::size_t u = 0; u < count; ++u) found[u] = of_distance(all.kind, found[u], row[u]);
        }
    });
}

void shared_loss_gradients(const PairInput& all, std::size_t chunks, const float* answers, const float* of_losses,
                           const float* of_answer_distances, const float* slopes, float* of_queries, float* of_answers,
                           float* of_rows, unsigned threads) {
    const std::size_t count = all.num_rows / chunks;
    threads = threads_worth(all.num_queries * count, all, threads);
    const std::shared_ptr<void> scratch = take_buffer(all.num_queries * count * sizeof(float));
    float* const weights = static_cast<float*>(scratch.get());
    std::vector<float> to_answers(all.num_queries);
    for_queries(all, threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t b = begin; b < end; ++b) {
            to_answers[b] = of_losses[b] * of_answer_distances[b];
            for (std::size_t u = 0; u < count; ++u) weights[b * count + u] = of_losses[b] * slopes[b * count + u];
        }
    });
    const PairInput paired = with_answers(all, answers);
    for_coordinates(all, threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
            const std::size_t first = first_of(all, chunks, chunk), last = first_of(all, chunks, chunk + 1);
            kernels().shared_gradients(of_chunk(all, chunks, chunk, first, last), weights + first * count, begin, end,
                                       of_queries + first * all.query_width, of_rows + chunk * count * all.row_width);
        }
        kernels().paired_gradients(paired, to_answers.data(), begin, end, of_queries, of_answers);
    });
}

}  // namespace graphkit
