#include "engine/branch_attention.hpp"

#include "machine/threads.hpp"

namespace graphkit {
namespace {

// Queries of a task.
constexpr std::size_t kQueries = 16;

template <class Queries>
void for_queries(const BranchGroups& groups, unsigned threads, const Queries& queries) {
    std::size_t all = 0;
    for (std::size_t group = 0; group < groups.count; ++group) all += static_cast<std::size_t>(groups.queries[group]);
    in_steps(all, kQueries, threads, queries);
}

}  // namespace

void attention_hidden(const BranchGroups& groups, float* hidden, const float* bias, std::size_t width,
                      float* differences, unsigned threads) {
    for_queries(groups, threads, [&](std::size_t begin, std::size_t end) {
        kernels().attention_hidden(groups, hidden, bias, width, begin, end, differences);
    });
}

void attention_means(const ScoredBranches& in, float* means, unsigned threads) {
    for_queries(in.groups, threads,
                [&](std::size_t begin, std::size_t end) { kernels().attention_means(in, begin, end, means); });
}

void attention_gradients(const ScoredBranches& in, const float* of_means, float* of_branches, float* of_scores,
                         unsigned threads) {
    for_queries(in.groups, threads, [&](std::size_t begin, std::size_t end) {
        kernels().attention_gradients(in, of_means, begin, end, of_branches, of_scores);
    });
}

void attention_hidden_gradients(const BranchGroups& groups, const float* of_differences, const float* hidden,
                                std::size_t width, float* of_hidden, unsigned threads) {
    for_queries(groups, threads, [&](std::size_t begin, std::size_t end) {
        kernels().attention_hidden_gradients(groups, of_differences, hidden, width, begin, end, of_hidden);
    });
}

}  // namespace graphkit
