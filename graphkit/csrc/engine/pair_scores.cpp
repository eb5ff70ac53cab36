#include "engine/pair_scores.hpp"

#include <algorithm>

#include "engine/coordinates.hpp"
#include "machine/buffers.hpp"
#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Rows of a task of shared scores: they stay in the cache while all queries pass by.
constexpr std::size_t kRowsOfTask = 32;

// Tasks of own scores: many more than threads, since rows differ in how many pairs they have.
constexpr std::size_t kOwnTasks = 64;

}  // namespace

std::optional<std::size_t> group_pairs(std::span<const std::int64_t> places, std::span<std::uint32_t> order,
                                       std::span<std::int64_t> offsets) {
    const std::size_t rows = offsets.size() - 1;
    std::ranges::fill(offsets, 0);
    for (std::size_t pair = 0; pair < places.size(); ++pair) {
        if (static_cast<std::uint64_t>(places[pair]) >= rows) return pair;
        ++offsets[places[pair] + 1];
    }
    // Each row's count becomes the place after its last pair, and is counted down while pairs are put in from behind.
    for (std::size_t row = 0; row < rows; ++row) offsets[row + 1] += offsets[row];
    for (std::size_t pair = places.size(); pair-- > 0;)
        order[--offsets[places[pair] + 1]] = static_cast<std::uint32_t>(pair);
    // offsets[row + 1] is now the first pair of `row`.
    std::copy(offsets.begin() + 1, offsets.end(), offsets.begin());
    offsets[rows] = static_cast<std::int64_t>(places.size());
    return std::nullopt;
}

void own_scores(const PairInput& in, const OwnPairs& pairs, float* scores, unsigned threads) {
    const auto count = static_cast<std::size_t>(pairs.offsets[in.num_rows]);
    threads = threads_worth(count, in, threads);
    const std::size_t tasks = threads == 1 ? 1 : std::min(kOwnTasks, in.num_rows);
    // A task is as many rows as have a like share of the pairs.
    const auto first_row = [&](std::size_t task) {
        const auto* place = std::lower_bound(pairs.offsets, pairs.offsets + in.num_rows,
                                             static_cast<std::int64_t>(count * task / std::max<std::size_t>(tasks, 1)));
        return static_cast<std::size_t>(place - pairs.offsets);
    };
    run_tasks(tasks, threads, [&](std::size_t task) {
        const std::size_t end = task + 1 == tasks ? in.num_rows : first_row(task + 1);
        kernels().own_scores(in, pairs, first_row(task), end, scores);
    });
}

void own_gradients(const PairInput& in, const OwnPairs& pairs, const float* weights, float* of_queries, float* of_rows,
                   unsigned threads) {
    threads = threads_worth(static_cast<std::size_t>(pairs.offsets[in.num_rows]), in, threads);
    for_coordinates(in, threads, [&](std::size_t begin, std::size_t end) {
        const std::shared_ptr<void> scratch = take_buffer(in.num_queries * kOwnScratch);
        kernels().own_gradients(in, pairs, weights, begin, end, scratch.get(), of_queries, of_rows);
    });
}

void shared_scores(const PairInput& in, float* scores, unsigned threads) {
    threads = threads_worth(in.num_queries * in.num_rows, in, threads);
    in_steps(in.num_rows, kRowsOfTask, threads,
             [&](std::size_t begin, std::size_t end) { kernels().shared_scores(in, begin, end, scores); });
}

void shared_gradients(const PairInput& in, const float* weights, float* of_queries, float* of_rows, unsigned threads) {
    threads = threads_worth(in.num_queries * in.num_rows, in, threads);
    for_coordinates(in, threads, [&](std::size_t begin, std::size_t end) {
        kernels().shared_gradients(in, weights, begin, end, of_queries, of_rows);
    });
}

}  // namespace graphkit
