// Bindings of scores of pairs, and of counts of them: what ranks are made of. The Python callers check shapes.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "engine/pair_scores.hpp"
#include "engine/rank_counts.hpp"
#include "engine_arrays.hpp"
#include "engine_module.hpp"
#include "pair_arrays.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

template <class Pairs>  // the scores or the gradient of each
OwnPairs own_pairs(const In<std::int32_t, -1>& order, const In<std::int64_t, -1>& offsets, const Pairs& pairs) {
    return {reinterpret_cast<const std::uint32_t*>(order.data()), offsets.data(),
            static_cast<std::uint32_t>(pairs.shape(1))};
}

RankInput rank_input(const In<float, -1>& scores, const In<std::int64_t, -1>& offsets,
                     const In<std::int64_t, -1>& known, const In<std::int64_t, -1>& known_offsets, std::int64_t first,
                     const Out<std::int64_t, 2, -1>& counts) {
    return {scores.data(),
            offsets.data(),
            known.data(),
            known_offsets.data(),
            first,
            counts.data(),
            counts.data() + counts.shape(1)};
}

std::int64_t group(const In<std::int64_t, -1>& places, const Out<std::int32_t, -1>& order,
                   const Out<std::int64_t, -1>& offsets) {
    const nb::gil_scoped_release release;
    const auto wrong =
        group_pairs({places.data(), places.size()}, {reinterpret_cast<std::uint32_t*>(order.data()), order.size()},
                    {offsets.data(), offsets.size()});
    return wrong ? static_cast<std::int64_t>(*wrong) : -1;
}

}  // namespace

void bind_pairs(nb::module_& m) {
    m.def("kernel_paths", &kernel_paths);
    m.def("choose_kernels", &choose_kernels, nb::arg("path"));
    m.def("group_pairs", &group, array("places"), array("order"), array("offsets"));
    m.def(
        "own_scores",
        [](int kind, const Matrix& queries, const Matrix& rows, const In<std::int32_t, -1>& order,
           const In<std::int64_t, -1>& offsets, float inside, const OutMatrix& scores, unsigned threads) {
            const PairInput input = pair_input(kind, queries, rows, inside);
            const OwnPairs pairs = own_pairs(order, offsets, scores);
            const nb::gil_scoped_release release;
            own_scores(input, pairs, scores.data(), threads);
        },
        nb::arg("kind"), array("queries"), array("rows"), array("order"), array("offsets"), nb::arg("inside"),
        array("scores"), nb::arg("threads"));
    m.def(
        "own_gradients",
        [](int kind, const Matrix& queries, const Matrix& rows, const In<std::int32_t, -1>& order,
           const In<std::int64_t, -1>& offsets, float inside, const Matrix& weights, const OutMatrix& of_queries,
           const OutMatrix& of_rows, unsigned threads) {
            const PairInput input = pair_input(kind, queries, rows, inside);
            const OwnPairs pairs = own_pairs(order, offsets, weights);
            const nb::gil_scoped_release release;
            own_gradients(input, pairs, weights.data(), of_queries.data(), of_rows.data(), threads);
        },
        nb::arg("kind"), array("queries"), array("rows"), array("order"), array("offsets"), nb::arg("inside"),
        array("weights"), array("of_queries"), array("of_rows"), nb::arg("threads"));
    m.def(
        "shared_scores",
        [](int kind, const Matrix& queries, const Matrix& rows, float inside, const OutMatrix& scores,
           unsigned threads) {
            const PairInput input = pair_input(kind, queries, rows, inside);
            const nb::gil_scoped_release release;
            shared_scores(input, scores.data(), threads);
        },
        nb::arg("kind"), array("queries"), array("rows"), nb::arg("inside"), array("scores"), nb::arg("threads"));
    m.def(
        "shared_gradients",
        [](int kind, const Matrix& queries, const Matrix& rows, float inside, const Matrix& weights,
           const OutMatrix& of_queries, const OutMatrix& of_rows, unsigned threads) {
            const PairInput input = pair_input(kind, queries, rows, inside);
            const nb::gil_scoped_release release;
            shared_gradients(input, weights.data(), of_queries.data(), of_rows.data(), threads);
        },
        nb::arg("kind"), array("queries"), array("rows"), nb::arg("inside"), array("weights"), array("of_queries"),
        array("of_rows"), nb::arg("threads"));
}

void bind_rank_counts(nb::module_& m) {
    m.def(
        "count_scores",
        [](const Matrix& candidates, const In<float, -1>& answers, const In<std::int64_t, -1>& offsets,
           const In<std::int64_t, -1>& known, const In<std::int64_t, -1>& known_offsets, std::int64_t first,
           const Out<std::int64_t, 2, -1>& counts, const Out<bool, -1>& wrong, unsigned threads) {
            const RankInput input = rank_input(answers, offsets, known, known_offsets, first, counts);
            const nb::gil_scoped_release release;
            count_scores(candidates.data(), candidates.shape(0), candidates.shape(1), input, wrong.data(), threads);
        },
        array("candidates"), array("answers"), array("offsets"), array("known"), array("known_offsets"),
        nb::arg("first"), array("counts"), array("wrong"), nb::arg("threads"));
    m.def(
        "count_pairs",
        [](int kind, const Matrix& queries, const Matrix& rows, float inside, float offset,
           const In<float, -1>& answers, const In<std::int64_t, -1>& offsets, const In<std::int64_t, -1>& known,
           const In<std::int64_t, -1>& known_offsets, std::int64_t first, const Out<std::int64_t, 2, -1>& counts,
           const Out<bool, -1>& wrong, unsigned threads) {
            const PairInput pairs = pair_input(kind, queries, rows, inside);
            const RankInput input = rank_input(answers, offsets, known, known_offsets, first, counts);
            const nb::gil_scoped_release release;
            count_pairs(pairs, offset, input, wrong.data(), threads);
        },
        nb::arg("kind"), array("queries"), array("rows"), nb::arg("inside"), nb::arg("offset"), array("answers"),
        array("offsets"), array("known"), array("known_offsets"), nb::arg("first"), array("counts"), array("wrong"),
        nb::arg("threads"));
}

}  // namespace graphkit
