// Bindings of the engine's operations. Outputs are made by the Python callers, who also check shapes among each other;
// dtypes and memory order are checked here.
#include "engine_module.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "engine/pair_scores.hpp"
#include "engine_arrays.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

PairInput pair_input(int kind, const Matrix& queries, const Matrix& rows, float inside) {
    return {static_cast<PairKind>(kind),
            queries.data(),
            queries.shape(0),
            queries.shape(1),
            rows.data(),
            rows.shape(0),
            rows.shape(1),
            inside};
}

template <class Pairs>  // the scores or the gradient of each
OwnPairs own_pairs(const In<std::int32_t, -1>& order, const In<std::int64_t, -1>& offsets, const Pairs& pairs) {
    return {reinterpret_cast<const std::uint32_t*>(order.data()), offsets.data(),
            static_cast<std::uint32_t>(pairs.shape(1))};
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

void bind_engine(nb::module_& m) {
    bind_sparse_optimizers(m);
    m.def("kernel_paths", &kernel_paths);
    m.def("choose_kernels", &choose_kernels, nb::arg("path"));
    m.def("group_pairs", &group, nb::arg("places"), nb::arg("order"), nb::arg("offsets"));
    m.def(
        "own_scores",
        [](int kind, const Matrix& queries, const Matrix& rows, const In<std::int32_t, -1>& order,
           const In<std::int64_t, -1>& offsets, float inside, const OutMatrix& scores, unsigned threads) {
            const PairInput input = pair_input(kind, queries, rows, inside);
            const OwnPairs pairs = own_pairs(order, offsets, scores);
            const nb::gil_scoped_release release;
            own_scores(input, pairs, scores.data(), threads);
        },
        nb::arg("kind"), nb::arg("queries"), nb::arg("rows"), nb::arg("order"), nb::arg("offsets"), nb::arg("inside"),
        nb::arg("scores"), nb::arg("threads"));
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
        nb::arg("kind"), nb::arg("queries"), nb::arg("rows"), nb::arg("order"), nb::arg("offsets"), nb::arg("inside"),
        nb::arg("weights"), nb::arg("of_queries"), nb::arg("of_rows"), nb::arg("threads"));
    m.def(
        "shared_scores",
        [](int kind, const Matrix& queries, const Matrix& rows, float inside, const OutMatrix& scores,
           unsigned threads) {
            const PairInput input = pair_input(kind, queries, rows, inside);
            const nb::gil_scoped_release release;
            shared_scores(input, scores.data(), threads);
        },
        nb::arg("kind"), nb::arg("queries"), nb::arg("rows"), nb::arg("inside"), nb::arg("scores"), nb::arg("threads"));
    m.def(
        "shared_gradients",
        [](int kind, const Matrix& queries, const Matrix& rows, float inside, const Matrix& weights,
           const OutMatrix& of_queries, const OutMatrix& of_rows, unsigned threads) {
            const PairInput input = pair_input(kind, queries, rows, inside);
            const nb::gil_scoped_release release;
            shared_gradients(input, weights.data(), of_queries.data(), of_rows.data(), threads);
        },
        nb::arg("kind"), nb::arg("queries"), nb::arg("rows"), nb::arg("inside"), nb::arg("weights"),
        nb::arg("of_queries"), nb::arg("of_rows"), nb::arg("threads"));
}

}  // namespace graphkit
