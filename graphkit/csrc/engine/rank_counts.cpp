#include "engine/rank_counts.hpp"

#include <algorithm>

#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Coordinates of all pairs below which waking another thread costs more than it saves (some 50 us).
constexpr std::size_t kWorthThreads = std::size_t{1} << 20;

// Queries of a task: each reads all rows, from beyond the caches, and computes long on each.
constexpr std::size_t kQueriesOfTask = 64;

// Turns the buckets of a query into counts of scores above, and level with, each of its answers.
void finish(const Answers& answers) {
    std::int64_t beyond = 0;
    for (std::size_t j = answers.count; j-- > 0;) {
        beyond += answers.buckets[2 * j + 2];
        answers.above[j] += beyond;
        beyond += answers.buckets[2 * j + 1];
    }
    std::int64_t level = 0;
    for (std::size_t j = 0; j < answers.count; ++j) {
        if (j == 0 || answers.scores[j] != answers.scores[j - 1]) level = answers.buckets[2 * j + 1];
        answers.level[j] += level;
    }
}

// Runs count(answers, begin, end) for parts of the queries, on scores of so many coordinates in all.
template <class Count>
void for_queries(std::size_t num_queries, const RankInput& in, std::size_t coordinates, unsigned threads,
                 const Count& count) {
    std::vector<std::int64_t> buckets(2 * static_cast<std::size_t>(in.offsets[num_queries]) + num_queries);
    std::vector<Answers> answers(num_queries);
    for (std::size_t b = 0; b < num_queries; ++b) {
        const std::int64_t begin = in.offsets[b], known = in.known_offsets[b];
        answers[b] = {in.scores + begin,
                      static_cast<std::size_t>(in.offsets[b + 1] - begin),
                      in.known + known,
                      static_cast<std::size_t>(in.known_offsets[b + 1] - known),
                      in.above + begin,
                      in.level + begin,
                      buckets.data() + 2 * static_cast<std::size_t>(begin) + b};
    }
    if (coordinates < kWorthThreads) threads = 1;
    const std::size_t fair = (num_queries + 4 * threads - 1) / (4 * threads);
    const std::size_t step = std::clamp<std::size_t>(fair, 1, kQueriesOfTask);
    run_tasks((num_queries + step - 1) / step, threads, [&](std::size_t task) {
        const std::size_t begin = task * step, end = std::min(num_queries, begin + step);
        count(answers.data(), begin, end);
        for (std::size_t b = begin; b < end; ++b) finish(answers[b]);
    });
}

}  // namespace

void count_scores(const float* scores, std::size_t num_queries, std::size_t width, const RankInput& in, bool* wrong,
                  unsigned threads) {
    for_queries(num_queries, in, num_queries * width, threads,
                [&](const Answers* answers, std::size_t begin, std::size_t end) {
                    kernels().count_scores(scores, width, in.first, answers, begin, end, wrong);
                });
}

void count_pairs(const PairInput& pairs, float offset, const RankInput& in, bool* wrong, unsigned threads) {
    for_queries(pairs.num_queries, in, pairs.num_queries * pairs.num_rows * pairs.row_width, threads,
                [&](const Answers* answers, std::size_t begin, std::size_t end) {
                    kernels().count_pairs(pairs, offset, in.first, answers, begin, end, wrong);
                });
}

}  // namespace graphkit
