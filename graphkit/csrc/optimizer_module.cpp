// Bindings of the steps of table rows. The Python callers check ids and shapes.
#include <nanobind/stl/optional.h>

#include <optional>
#include <stdexcept>

#include "engine/duplicate_ids.hpp"
#include "engine/sparse_optimizers.hpp"
#include "engine_arrays.hpp"
#include "engine_module.hpp"
#include "machine/huge_pages.hpp"
#include "machine/row_updates.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

using Array = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Reals = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Ids = In<std::int64_t, -1>;

template <class A>
auto* data_or_null(const std::optional<A>& array) {
    return array ? array->data() : nullptr;
}

std::int64_t or_none(const std::optional<std::size_t>& place) { return place ? static_cast<std::int64_t>(*place) : -1; }

// `weight` is [N, D] of float32, or of int16 that holds the bits of bfloat16.
// Returns whether the step was taken, which sums that are not finite forbid.
bool step(int rule, const Array& weight, const std::optional<Reals>& first, const std::optional<Reals>& second,
          const std::optional<Out<std::int64_t, -1>>& steps, const std::optional<Ids>& ids, const Matrix& gradient,
          double lr, double beta1, double beta2, double eps, std::int64_t seed, unsigned threads) {
    const bool bfloat16 = weight.dtype() == nb::dtype<std::int16_t>();
    if (!bfloat16 && weight.dtype() != nb::dtype<float>()) throw std::invalid_argument("weight has the wrong dtype");
    const RowStep in{static_cast<RowRule>(rule),
                     weight.data(),
                     bfloat16,
                     data_or_null(first),
                     data_or_null(second),
                     data_or_null(steps),
                     data_or_null(ids),
                     gradient.data(),
                     gradient.shape(1),
                     lr,
                     beta1,
                     beta2,
                     eps,
                     static_cast<std::uint64_t>(seed)};
    const nb::gil_scoped_release release;
    return step_summed_rows(in, gradient.shape(0), threads);
}

std::int64_t bad_id(const Ids& ids, std::uint64_t rows) {
    const nb::gil_scoped_release release;
    return or_none(first_bad_id({ids.data(), ids.size()}, rows));
}

std::int64_t not_finite(const Matrix& rows, unsigned threads) {
    const nb::gil_scoped_release release;
    return or_none(first_not_finite(rows.data(), rows.shape(0), rows.shape(1), threads));
}

std::size_t group(const Ids& ids, const Out<std::int32_t, -1>& order, const Out<std::int64_t, -1>& distinct,
                  const Out<std::int64_t, -1>& offsets) {
    const nb::gil_scoped_release release;
    return group_ids({ids.data(), ids.size()}, {reinterpret_cast<std::uint32_t*>(order.data()), order.size()},
                     {distinct.data(), distinct.size()}, {offsets.data(), offsets.size()});
}

void sum(const Matrix& gradients, const In<std::int32_t, -1>& order, const Ids& offsets, const OutMatrix& sums,
         unsigned threads) {
    const RowGroups groups{gradients.data(), gradients.shape(1), reinterpret_cast<const std::uint32_t*>(order.data()),
                           offsets.data()};
    const nb::gil_scoped_release release;
    sum_groups(groups, sums.shape(0), sums.data(), threads);
}

}  // namespace

void bind_sparse_optimizers(nb::module_& m) {
    m.def("step_rows", &step, nb::arg("rule"), array("weight"), array("first").none(), array("second").none(),
          array("steps").none(), array("ids").none(), array("gradient"), nb::arg("lr"), nb::arg("beta1"),
          nb::arg("beta2"), nb::arg("eps"), nb::arg("seed"), nb::arg("threads"));
    m.def("first_bad_id", &bad_id, array("ids"), nb::arg("rows"));
    m.def("first_not_finite", &not_finite, array("rows"), nb::arg("threads"));
    m.def("group_ids", &group, array("ids"), array("order"), array("distinct"), array("offsets"));
    m.def("sum_groups", &sum, array("gradients"), array("order"), array("offsets"), array("sums"), nb::arg("threads"));
    m.def(
        "update_rows",
        [](const OutMatrix& table, const Ids& ids, unsigned threads, std::size_t ahead) {
            if (const auto bad = first_bad_id({ids.data(), ids.size()}, table.shape(0)))
                throw std::out_of_range("an id is no row of the table");
            const nb::gil_scoped_release release;
            return measure_row_updates(table.data(), table.shape(1), {ids.data(), ids.size()}, threads, ahead);
        },
        array("table"), array("ids"), nb::arg("threads"), nb::arg("ahead"));
    m.def(
        "use_huge_pages",
        [](const Array& memory) {
            const nb::gil_scoped_release release;
            use_huge_pages(memory.data(), memory.nbytes());
        },
        array("memory"));
}

}  // namespace graphkit
