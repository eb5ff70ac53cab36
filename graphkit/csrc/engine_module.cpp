// Bindings of the engine's operations. Outputs are made by the Python callers, who also check shapes among each other;
// dtypes and memory order are checked here.
#include "engine_module.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "engine/beta_moments.hpp"
#include "engine/gather.hpp"
#include "engine/id_resolver.hpp"
#include "engine/log_softmax.hpp"
#include "engine/negative_terms.hpp"
#include "engine/pair_scores.hpp"
#include "engine/rank_counts.hpp"
#include "engine_arrays.hpp"
#include "machine/buffers.hpp"

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

// A float32 tensor over a buffer of the pool.
nb::ndarray<nb::pytorch, float, nb::ndim<1>> empty(std::size_t size) {
    auto* buffer = new std::shared_ptr<void>(take_buffer(size * sizeof(float)));
    const nb::capsule owner(buffer, [](void* p) noexcept { delete static_cast<std::shared_ptr<void>*>(p); });
    return {static_cast<float*>(buffer->get()), {size}, owner};
}

std::int64_t add_ids(IdResolver& resolver, const In<std::int64_t, -1>& ids) {
    const nb::gil_scoped_release release;
    const auto wrong = resolver.add({ids.data(), ids.size()});
    return wrong ? static_cast<std::int64_t>(*wrong) : -1;
}

void gather(const Matrix& table, const In<std::int64_t, -1>& ids, const std::optional<In<std::int64_t, -1>>& places,
            const OutMatrix& to, unsigned threads) {
    const nb::gil_scoped_release release;
    gather_rows(reinterpret_cast<const std::byte*>(table.data()), table.shape(1) * sizeof(float),
                {ids.data(), ids.size()}, places ? places->data() : nullptr, reinterpret_cast<std::byte*>(to.data()),
                threads);
}

// Logits of a chunk: float32, or the bits of bfloat16 as int16.
using Logits = nb::ndarray<nb::c_contig, nb::device::cpu, nb::ndim<2>>;

LogitChunk logit_chunk(const Logits& logits, bool halves) {
    if (logits.dtype() != (halves ? nb::dtype<std::int16_t>() : nb::dtype<float>()))
        throw std::invalid_argument("logits have the wrong dtype");
    return {logits.data(), halves, logits.shape(0), logits.shape(1)};
}

}  // namespace

void bind_engine(nb::module_& m) {
    bind_sparse_optimizers(m);
    m.def(
        "softmax_sums",
        [](const Logits& logits, bool halves, const Out<float, -1>& most, const Out<float, -1>& totals,
           unsigned threads) {
            const LogitChunk chunk = logit_chunk(logits, halves);
            const nb::gil_scoped_release release;
            softmax_sums(chunk, most.data(), totals.data(), threads);
        },
        nb::arg("logits"), nb::arg("halves"), nb::arg("most"), nb::arg("totals"), nb::arg("threads"));
    m.def(
        "softmax_gradients",
        [](const Logits& logits, bool halves, const In<float, -1>& log_totals, const In<float, -1>& weights,
           unsigned threads) {
            const LogitChunk chunk = logit_chunk(logits, halves);
            const nb::gil_scoped_release release;
            softmax_gradients(chunk, log_totals.data(), weights.data(), threads);
        },
        nb::arg("logits"), nb::arg("halves"), nb::arg("log_totals"), nb::arg("weights"), nb::arg("threads"));
    m.def(
        "softplus_terms",
        [](const Matrix& negative, const In<bool, -1, -1>& mask, float sharpness, const Out<float, -1>& terms,
           const OutMatrix& slopes, unsigned threads) {
            const Negatives input{negative.data(), mask.data(), negative.shape(0), negative.shape(1)};
            const nb::gil_scoped_release release;
            softplus_terms(input, sharpness, terms.data(), slopes.data(), threads);
        },
        nb::arg("negative"), nb::arg("mask"), nb::arg("sharpness"), nb::arg("terms"), nb::arg("slopes"),
        nb::arg("threads"));
    m.def(
        "log_sum_terms",
        [](const Matrix& negative, const In<bool, -1, -1>& mask, const Out<float, -1>& terms, const OutMatrix& slopes,
           unsigned threads) {
            const Negatives input{negative.data(), mask.data(), negative.shape(0), negative.shape(1)};
            const nb::gil_scoped_release release;
            log_sum_terms(input, terms.data(), slopes.data(), threads);
        },
        nb::arg("negative"), nb::arg("mask"), nb::arg("terms"), nb::arg("slopes"), nb::arg("threads"));
    m.def(
        "add_rows",
        [](const OutMatrix& to, const In<std::int64_t, -1>& places, const Matrix& from) {
            const nb::gil_scoped_release release;
            add_rows(to.data(), to.shape(1), {places.data(), places.size()}, from.data());
        },
        nb::arg("to"), nb::arg("places"), nb::arg("from_"));
    m.def(
        "beta_moments",
        [](const Matrix& parameters, const OutMatrix& statistics, const Out<double, -1>& log_beta, unsigned threads) {
            const BetaRows rows{parameters.data(), parameters.shape(0), parameters.shape(1) / 2};
            const nb::gil_scoped_release release;
            beta_moments(rows, statistics.data(), log_beta.data(), threads);
        },
        nb::arg("parameters"), nb::arg("statistics"), nb::arg("log_beta"), nb::arg("threads"));
    m.def(
        "beta_gradients",
        [](const Matrix& parameters, const Matrix& statistics, const Matrix& of_statistics,
           const In<double, -1>& of_log_beta, const OutMatrix& gradients, unsigned threads) {
            const BetaRows rows{parameters.data(), parameters.shape(0), parameters.shape(1) / 2};
            const nb::gil_scoped_release release;
            beta_gradients(rows, statistics.data(), of_statistics.data(), of_log_beta.data(), gradients.data(),
                           threads);
        },
        nb::arg("parameters"), nb::arg("statistics"), nb::arg("of_statistics"), nb::arg("of_log_beta"),
        nb::arg("gradients"), nb::arg("threads"));
    m.def("empty", &empty, nb::arg("size"));
    nb::class_<IdResolver>(m, "IdResolver")
        .def(nb::init<std::uint64_t>(), nb::arg("num_ids"))
        .def("clear", &IdResolver::clear)
        .def("add", &add_ids, nb::arg("ids"))
        .def("finish", &IdResolver::finish, nb::call_guard<nb::gil_scoped_release>())
        .def(
            "write",
            [](const IdResolver& resolver, const Out<std::int64_t, -1>& ids) {
                const nb::gil_scoped_release release;
                resolver.write({ids.data(), ids.size()});
            },
            nb::arg("ids"))
        .def(
            "locate",
            [](const IdResolver& resolver, const In<std::int64_t, -1>& ids, const Out<std::int64_t, -1>& places) {
                const nb::gil_scoped_release release;
                resolver.locate({ids.data(), ids.size()}, {places.data(), places.size()});
            },
            nb::arg("ids"), nb::arg("places"))
        .def(
            "contains",
            [](const IdResolver& resolver, const In<std::int64_t, -1>& ids, const Out<bool, -1>& found) {
                const nb::gil_scoped_release release;
                resolver.contains({ids.data(), ids.size()}, {found.data(), found.size()});
            },
            nb::arg("ids"), nb::arg("found"));
    m.def("gather_rows", &gather, nb::arg("table"), nb::arg("ids"), nb::arg("places").none(), nb::arg("to"),
          nb::arg("threads"));
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
    m.def(
        "count_scores",
        [](const Matrix& candidates, const In<float, -1>& answers, const In<std::int64_t, -1>& offsets,
           const In<std::int64_t, -1>& known, const In<std::int64_t, -1>& known_offsets, std::int64_t first,
           const Out<std::int64_t, 2, -1>& counts, const Out<bool, -1>& wrong, unsigned threads) {
            const RankInput input = rank_input(answers, offsets, known, known_offsets, first, counts);
            const nb::gil_scoped_release release;
            count_scores(candidates.data(), candidates.shape(0), candidates.shape(1), input, wrong.data(), threads);
        },
        nb::arg("candidates"), nb::arg("answers"), nb::arg("offsets"), nb::arg("known"), nb::arg("known_offsets"),
        nb::arg("first"), nb::arg("counts"), nb::arg("wrong"), nb::arg("threads"));
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
        nb::arg("kind"), nb::arg("queries"), nb::arg("rows"), nb::arg("inside"), nb::arg("offset"), nb::arg("answers"),
        nb::arg("offsets"), nb::arg("known"), nb::arg("known_offsets"), nb::arg("first"), nb::arg("counts"),
        nb::arg("wrong"), nb::arg("threads"));
}

}  // namespace graphkit
