// The kernels of the engine, as each instruction set has them: a table of functions for each, one of which is chosen at
// run time. Every function does a part of an operation on the calling thread; the operations in engine/*.hpp divide
// the work among threads. Arrays are row-major and float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace graphkit {

// What is computed of a query q and a row e; see graphkit/engine/kernels/pair_scores.py.
enum class PairKind { dot, l1, l2, rotate, box, centred };

// Queries and the rows that they are compared with.
struct PairInput {
    PairKind kind;
    const float* queries;  // [num_queries, query_width]
    std::size_t num_queries;
    std::size_t query_width;  // 2 * row_width for boxes and centred products, else row_width
    const float* rows;        // [num_rows, row_width]
    std::size_t num_rows;
    std::size_t row_width;
    float inside;  // of boxes
    // [num_queries], the row of each query, where it is compared with one alone; null = row b is that of query b
    const std::int64_t* paired_rows = nullptr;
};

// Pairs of a query with candidates of its own, brought into the order of the rows: those of row u are order[i] for
// i from offsets[u] to offsets[u + 1], where pair p belongs to query p / per_query.
struct OwnPairs {
    const std::uint32_t* order;
    const std::int64_t* offsets;
    std::uint32_t per_query;
};

// Answers of one query, and what is counted for each.
struct Answers {
    const float* scores;  // [count], ascending
    std::size_t count;
    const std::int64_t* known;  // [num_known] entities that are no candidates, ascending
    std::size_t num_known;
    std::int64_t* above;    // [count], added to
    std::int64_t* level;    // [count], added to
    std::int64_t* buckets;  // [2 * count + 1], added to instead where there are many answers; see rank_counts.cpp
};

// How a row follows its gradient; see graphkit/engine/kernels/sparse_optimizers.py.
enum class RowRule { sgd, adagrad, row_adagrad, adam };

// One step of some rows of a table, in place. Pointers that a rule does not need are null.
struct RowStep {
    RowRule rule;
    void* weight;  // [N, width], float32 or bfloat16
    bool bfloat16;
    float* first;         // sums of squares [N, width], of row_adagrad [N]; means of adam
    float* second;        // means of squares of adam [N, width]
    std::int64_t* steps;  // [N], counted up: of adam, and wherever weights are bfloat16
    const std::int64_t* ids;
    const float* gradient;  // [U, width]; row u is that of table row ids[u], or of row u where ids is null
    std::size_t width;
    double lr, beta1, beta2, eps;
    std::uint64_t seed;  // of the rounding of bfloat16
    // [U] where the rows of the gradient stand, unless they follow one another in `gradient`
    const float* const* gradients = nullptr;
};

// Gradients whose rows belong together: those of group u are order[i] for i from offsets[u] to offsets[u + 1].
struct RowGroups {
    const float* gradients;  // [P, width]
    std::size_t width;
    const std::uint32_t* order;
    const std::int64_t* offsets;
};

// Intersections: those of a group have equally many branches. Rows of branches stand group after group, within a group
// branch after branch, and those of a branch query after query.
struct BranchGroups {
    const std::int64_t* branches;  // [count], of each query of a group, at least 1
    const std::int64_t* queries;   // [count], of a group
    std::size_t count;
};

// Branches and what weighs them; a weight counts for the same column of each part of a row.
struct ScoredBranches {
    BranchGroups groups;
    const float* rows;    // [M, parts * weights], of branches
    const float* scores;  // [M - B, weights], of every branch but the first of a query, whose score is 0
    std::size_t weights, parts;
};

// Bytes that the gradients of own candidates keep for each query.
constexpr std::size_t kOwnScratch = 768;

struct Kernels {
    std::size_t lanes;
    // Fills scores[p] for all pairs of rows `begin` to `end`.
    void (*own_scores)(const PairInput&, const OwnPairs&, std::size_t begin, std::size_t end, float* scores);
    // Fills columns `begin` to `end` of scores [num_queries, num_rows].
    void (*shared_scores)(const PairInput&, std::size_t begin, std::size_t end, float* scores);
    // Fills coordinates `begin` to `end` (of one part of a row) of both gradients, given that of each pair; for l2
    // what is given is the gradient divided by the distance. `scratch` has kOwnScratch bytes a query, from a multiple
    // of 64 on.
    void (*own_gradients)(const PairInput&, const OwnPairs&, const float* weights, std::size_t begin, std::size_t end,
                          void* scratch, float* of_queries, float* of_rows);
    // The same for weights [num_queries, num_rows].
    void (*shared_gradients)(const PairInput&, const float* weights, std::size_t begin, std::size_t end,
                             float* of_queries, float* of_rows);
    // Fills scores[b] for query b and its row; see PairInput::paired_rows.
    void (*paired_scores)(const PairInput&, float* scores);
    // Fills coordinates `begin` to `end` of their gradients of rows, [num_queries, row_width], and adds those of
    // queries to what is there.
    void (*paired_gradients)(const PairInput&, const float* weights, std::size_t begin, std::size_t end,
                             float* of_queries, float* of_rows);
    // A row of engine/log_softmax.hpp.
    void (*softmax_sums)(const void* logits, bool halves, std::size_t count, float& most, float& total);
    void (*softmax_gradients)(void* logits, bool halves, std::size_t count, float log_total, float weight);
    // A row of engine/negative_terms.hpp; both fill its slopes and return its term.
    float (*softplus_term)(const float* logits, const bool* mask, std::size_t count, float sharpness, float* slopes);
    float (*log_sum_term)(const float* logits, const bool* mask, std::size_t count, float* slopes);
    // Fills log(1 + e^x) of each value, and its slopes.
    void (*softplus)(const float* from, std::size_t count, float* values, float* slopes);
    // A row of engine/beta_moments.hpp.
    void (*beta_moments)(const float* row, std::size_t betas, float* statistics, double& log_beta);
    void (*beta_gradients)(const float* row, std::size_t betas, const float* statistics, const float* of_statistics,
                           double of_log_beta, float* gradient);
    // Queries `begin` to `end` of engine/branch_attention.hpp.
    void (*attention_hidden)(const BranchGroups&, float* hidden, const float* bias, std::size_t width,
                             std::size_t begin, std::size_t end, float* differences);
    void (*attention_means)(const ScoredBranches&, std::size_t begin, std::size_t end, float* means);
    void (*attention_gradients)(const ScoredBranches&, const float* of_means, std::size_t begin, std::size_t end,
                                float* of_branches, float* of_scores);
    void (*attention_hidden_gradients)(const BranchGroups&, const float* of_differences, const float* hidden,
                                       std::size_t width, std::size_t begin, std::size_t end, float* of_hidden);
    // Count scores [num_queries, width] of entities from `first` on, or those of all pairs, for the answers of queries
    // `begin` to `end`, and fill their `wrong`; see engine/rank_counts.hpp.
    void (*count_scores)(const float* scores, std::size_t width, std::int64_t first, const Answers* answers,
                         std::size_t begin, std::size_t end, bool* wrong);
    void (*count_pairs)(const PairInput&, float offset, std::int64_t first, const Answers* answers, std::size_t begin,
                        std::size_t end, bool* wrong);
    // Takes a step of gradient rows `begin` to `end`.
    void (*step_rows)(const RowStep&, std::size_t begin, std::size_t end);
    // The first row from `begin` on, [width] each, with a value that is not finite; `end` if there is none.
    std::size_t (*first_not_finite)(const float* rows, std::size_t width, std::size_t begin, std::size_t end);
    // Copies bytes past the caches. Other threads see them after a store fence.
    void (*stream_row)(std::byte* to, const std::byte* from, std::size_t bytes);
    // Fills rows `begin` to `end` of sums [groups, width], added up in the order of the group.
    void (*sum_groups)(const RowGroups&, std::size_t begin, std::size_t end, float* sums);
};

// The widest instruction set that this processor and this build have, or what `choose_kernels` said.
const Kernels& kernels();

// Names of the instruction sets that can be chosen here, narrowest first.
std::vector<std::string> kernel_paths();

// Takes an instruction set by name; returns false if there is none of that name here. Not while operations run.
bool choose_kernels(const std::string& path);

}  // namespace graphkit
