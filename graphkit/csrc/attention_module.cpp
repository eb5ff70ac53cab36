// Bindings of the attention over branches. The Python callers check shapes.
#include <cstdint>

#include "engine/branch_attention.hpp"
#include "engine_arrays.hpp"
#include "engine_module.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

using Counts = In<std::int64_t, -1>;

BranchGroups groups_of(const Counts& branches, const Counts& queries) {
    return {branches.data(), queries.data(), branches.shape(0)};
}

ScoredBranches scored(const Counts& branches, const Counts& queries, const Matrix& rows, const Matrix& scores) {
    const std::size_t weights = scores.shape(1);
    return {groups_of(branches, queries), rows.data(), scores.data(), weights, rows.shape(1) / weights};
}

}  // namespace

void bind_branch_attention(nb::module_& m) {
    m.def(
        "attention_hidden",
        [](const Counts& branches, const Counts& queries, const OutMatrix& hidden, const In<float, -1>& bias,
           const OutMatrix& differences, unsigned threads) {
            const BranchGroups groups = groups_of(branches, queries);
            const nb::gil_scoped_release release;
            attention_hidden(groups, hidden.data(), bias.data(), hidden.shape(1), differences.data(), threads);
        },
        array("branches"), array("queries"), array("hidden"), array("bias"), array("differences"), nb::arg("threads"));
    m.def(
        "attention_means",
        [](const Counts& branches, const Counts& queries, const Matrix& rows, const Matrix& scores,
           const OutMatrix& means, unsigned threads) {
            const ScoredBranches input = scored(branches, queries, rows, scores);
            const nb::gil_scoped_release release;
            attention_means(input, means.data(), threads);
        },
        array("branches"), array("queries"), array("rows"), array("scores"), array("means"), nb::arg("threads"));
    m.def(
        "attention_gradients",
        [](const Counts& branches, const Counts& queries, const Matrix& rows, const Matrix& scores,
           const Matrix& of_means, const OutMatrix& of_rows, const OutMatrix& of_scores, unsigned threads) {
            const ScoredBranches input = scored(branches, queries, rows, scores);
            const nb::gil_scoped_release release;
            attention_gradients(input, of_means.data(), of_rows.data(), of_scores.data(), threads);
        },
        array("branches"), array("queries"), array("rows"), array("scores"), array("of_means"), array("of_rows"),
        array("of_scores"), nb::arg("threads"));
    m.def(
        "attention_hidden_gradients",
        [](const Counts& branches, const Counts& queries, const Matrix& of_differences, const Matrix& hidden,
           const OutMatrix& of_hidden, unsigned threads) {
            const BranchGroups groups = groups_of(branches, queries);
            const nb::gil_scoped_release release;
            attention_hidden_gradients(groups, of_differences.data(), hidden.data(), hidden.shape(1), of_hidden.data(),
                                       threads);
        },
        array("branches"), array("queries"), array("of_differences"), array("hidden"), array("of_hidden"),
        nb::arg("threads"));
}

}  // namespace graphkit
