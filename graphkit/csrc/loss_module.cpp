// Bindings of what losses are made of: softmax over all rows, terms of negatives, moments of Betas. The Python callers
// check shapes.
#include <stdexcept>

#include "engine/beta_moments.hpp"
#include "engine/log_softmax.hpp"
#include "engine/negative_terms.hpp"
#include "engine/pair_losses.hpp"
#include "engine_arrays.hpp"
#include "engine_module.hpp"
#include "pair_arrays.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

// Logits of a chunk: float32, or the bits of bfloat16 as int16.
using Logits = nb::ndarray<nb::c_contig, nb::device::cpu, nb::ndim<2>>;

LogitChunk logit_chunk(const Logits& logits, bool halves) {
    if (logits.dtype() != (halves ? nb::dtype<std::int16_t>() : nb::dtype<float>()))
        throw std::invalid_argument("logits have the wrong dtype");
    return {logits.data(), halves, logits.shape(0), logits.shape(1)};
}

void require_chunks(std::size_t chunks) {
    if (chunks == 0) throw std::invalid_argument("chunks must be positive");
}

void bind_shared_losses(nb::module_& m) {
    m.def(
        "shared_losses",
        [](int kind, const Matrix& queries, const Matrix& answers, const Matrix& rows, const In<bool, -1, -1>& mask,
           std::size_t chunks, float inside, float offset, float sharpness, const Out<float, -1>& losses,
           const Out<float, -1>& of_answers, const OutMatrix& slopes, unsigned threads) {
            require_chunks(chunks);
            const SharedLoss input{
                pair_input(kind, queries, rows, inside), chunks, answers.data(), mask.data(), offset, sharpness};
            const nb::gil_scoped_release release;
            shared_losses(input, losses.data(), of_answers.data(), slopes.data(), threads);
        },
        nb::arg("kind"), array("queries"), array("answers"), array("rows"), array("mask"), nb::arg("chunks"),
        nb::arg("inside"), nb::arg("offset"), nb::arg("sharpness"), array("losses"), array("of_answers"),
        array("slopes"), nb::arg("threads"));
    m.def(
        "shared_loss_gradients",
        [](int kind, const Matrix& queries, const Matrix& answers, const Matrix& rows, std::size_t chunks, float inside,
           const In<float, -1>& of_losses, const In<float, -1>& of_answer_distances, const Matrix& slopes,
           const OutMatrix& of_queries, const OutMatrix& of_answers, const OutMatrix& of_rows, unsigned threads) {
            require_chunks(chunks);
            const PairInput pairs = pair_input(kind, queries, rows, inside);
            const nb::gil_scoped_release release;
            shared_loss_gradients(pairs, chunks, answers.data(), of_losses.data(), of_answer_distances.data(),
                                  slopes.data(), of_queries.data(), of_answers.data(), of_rows.data(), threads);
        },
        nb::arg("kind"), array("queries"), array("answers"), array("rows"), nb::arg("chunks"), nb::arg("inside"),
        array("of_losses"), array("of_answer_distances"), array("slopes"), array("of_queries"), array("of_answers"),
        array("of_rows"), nb::arg("threads"));
}

}  // namespace

void bind_losses(nb::module_& m) {
    bind_shared_losses(m);
    m.def(
        "softmax_sums",
        [](const Logits& logits, bool halves, const Out<float, -1>& most, const Out<float, -1>& totals,
           unsigned threads) {
            const LogitChunk chunk = logit_chunk(logits, halves);
            const nb::gil_scoped_release release;
            softmax_sums(chunk, most.data(), totals.data(), threads);
        },
        array("logits"), nb::arg("halves"), array("most"), array("totals"), nb::arg("threads"));
    m.def(
        "softmax_gradients",
        [](const Logits& logits, bool halves, const In<float, -1>& log_totals, const In<float, -1>& weights,
           unsigned threads) {
            const LogitChunk chunk = logit_chunk(logits, halves);
            const nb::gil_scoped_release release;
            softmax_gradients(chunk, log_totals.data(), weights.data(), threads);
        },
        array("logits"), nb::arg("halves"), array("log_totals"), array("weights"), nb::arg("threads"));
    m.def(
        "softplus_terms",
        [](const Matrix& negative, const In<bool, -1, -1>& mask, float sharpness, const Out<float, -1>& terms,
           const OutMatrix& slopes, unsigned threads) {
            const Negatives input{negative.data(), mask.data(), negative.shape(0), negative.shape(1)};
            const nb::gil_scoped_release release;
            softplus_terms(input, sharpness, terms.data(), slopes.data(), threads);
        },
        array("negative"), array("mask"), nb::arg("sharpness"), array("terms"), array("slopes"), nb::arg("threads"));
    m.def(
        "log_sum_terms",
        [](const Matrix& negative, const In<bool, -1, -1>& mask, const Out<float, -1>& terms, const OutMatrix& slopes,
           unsigned threads) {
            const Negatives input{negative.data(), mask.data(), negative.shape(0), negative.shape(1)};
            const nb::gil_scoped_release release;
            log_sum_terms(input, terms.data(), slopes.data(), threads);
        },
        array("negative"), array("mask"), array("terms"), array("slopes"), nb::arg("threads"));
}

void bind_beta_moments(nb::module_& m) {
    m.def(
        "beta_moments",
        [](const Matrix& parameters, const OutMatrix& statistics, const Out<double, -1>& log_beta, unsigned threads) {
            const BetaRows rows{parameters.data(), parameters.shape(0), parameters.shape(1) / 2};
            const nb::gil_scoped_release release;
            beta_moments(rows, statistics.data(), log_beta.data(), threads);
        },
        array("parameters"), array("statistics"), array("log_beta"), nb::arg("threads"));
    m.def(
        "beta_gradients",
        [](const Matrix& parameters, const Matrix& statistics, const Matrix& of_statistics,
           const In<double, -1>& of_log_beta, const OutMatrix& gradients, unsigned threads) {
            const BetaRows rows{parameters.data(), parameters.shape(0), parameters.shape(1) / 2};
            const nb::gil_scoped_release release;
            beta_gradients(rows, statistics.data(), of_statistics.data(), of_log_beta.data(), gradients.data(),
                           threads);
        },
        array("parameters"), array("statistics"), array("of_statistics"), array("of_log_beta"), array("gradients"),
        nb::arg("threads"));
}

}  // namespace graphkit
