#include "engine/pair_scores.hpp"

#include <algorithm>

#include "machine/buffers.hpp"
#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Coordinates of all pairs below which waking another thread costs more than it saves (some 50 us).
constexpr std::size_t kWorthThreads = std::size_t{1} << 20;

// Rows of a task of shared scores: they stay in the cache while all queries pass by.
constexpr std::size_t kRowsOfTask = 32;

// Tasks of own scores: many more than threads, since rows differ in how many pairs they have.
constexpr std::size_t kOwnTasks = 64;

std::size_t coordinates(const PairInput& in) { return in.kind == PairKind::rotate ? in.row_width / 2 : in.row_width; }

unsigned worth(std::size_t pairs, const PairInput& in, unsigned threads) {
    return pairs * in.row_width < kWorthThreads ? 1 : threads;
}

// Runs part(begin, end) for `size` items in steps.
template <class Part>
void in_steps(std::size_t size, std::size_t step, unsigned threads, const Part& part) {
    run_tasks((size + step - 1) / step, threads,
              [&](std::size_t task) { part(task * step, std::min(size, (task + 1) * step)); });
}

// Runs part(begin, end) for coordinates that each thread has side by side: neighbours in a row share cache lines, which
// two threads that go through the rows at the same pace would take from each other.
template <class Part>
void for_coordinates(const PairInput& in, unsigned threads, const Part& part) {
    const std::size_t n = coordinates(in), lanes = kernels().lanes;
    in_steps(n, std::max<std::size_t>((n + threads * lanes - 1) / (threads * lanes), 1) * lanes, threads, part);
}

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
    threads = worth(count, in, threads);
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
    threads = worth(static_cast<std::size_t>(pairs.offsets[in.num_rows]), in, threads);
    for_coordinates(in, threads, [&](std::size_t begin, std::size_t end) {
        const std::shared_ptr<void> scratch = take_buffer(in.num_queries * kOwnScratch);
        kernels().own_gradients(in, pairs, weights, begin, end, scratch.get(), of_queries, of_rows);
    });
}

void shared_scores(const PairInput& in, float* scores, unsigned threads) {
    threads = worth(in.num_queries * in.num_rows, in, threads);
    in_steps(in.num_rows, kRowsOfTask, threads,
             [&](std::size_t begin, std::size_t end) { kernels().shared_scores(in, begin, end, scores); });
}

void shared_gradients(const PairInput& in, const float* weights, float* of_queries, float* of_rows, unsigned threads) {
    threads = worth(in.num_queries * in.num_rows, in, threads);
    for_coordinates(in, threads, [&](std::size_t begin, std::size_t end) {
        kernels().shared_gradients(in, weights, begin, end, of_queries, of_rows);
    });
}

}  // namespace graphkit
