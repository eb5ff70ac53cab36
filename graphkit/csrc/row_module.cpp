// Bindings of what brings rows together for a step: ids, buffers, copies. The Python callers check ids and shapes.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <vector>

#include "engine/gather.hpp"
#include "engine/id_resolver.hpp"
#include "engine/relation_steps.hpp"
#include "engine_arrays.hpp"
#include "engine_module.hpp"
#include "machine/allocator.hpp"
#include "machine/buffers.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

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

void sum(const OutMatrix& to, const std::vector<In<std::int64_t, -1>>& places, const std::vector<Matrix>& rows,
         bool onto, unsigned threads) {
    std::vector<PlacedRows> parts;
    for (std::size_t i = 0; i < places.size(); ++i)
        parts.push_back({{places[i].data(), places[i].size()}, rows[i].data()});
    const nb::gil_scoped_release release;
    sum_rows(to.data(), to.shape(0), to.shape(1), parts, onto, threads);
}

using Places = std::optional<In<std::int64_t, -1>>;

RelationSteps relation_steps(const In<std::int64_t, -1>& directed, const Matrix& x, const Places& places,
                             const Matrix& table) {
    return {directed.data(), directed.size(), x.shape(1), table.shape(0), places ? places->data() : nullptr};
}

void bind_relation_steps(nb::module_& m) {
    m.def(
        "translate",
        [](const Matrix& x, const Places& places, const Matrix& vectors, const In<std::int64_t, -1>& directed,
           const OutMatrix& to, unsigned threads) {
            const RelationSteps steps = relation_steps(directed, x, places, vectors);
            const nb::gil_scoped_release release;
            translate(steps, x.data(), vectors.data(), to.data(), threads);
        },
        array("x"), array("places").none(), array("vectors"), array("directed"), array("to"), nb::arg("threads"));
    m.def(
        "translate_gradients",
        [](const Matrix& of_result, const In<std::int64_t, -1>& directed, const OutMatrix& of_vectors,
           unsigned threads) {
            const RelationSteps steps{directed.data(), of_result.shape(0), of_result.shape(1), of_vectors.shape(0),
                                      nullptr};
            const nb::gil_scoped_release release;
            translate_gradients(steps, of_result.data(), of_vectors.data(), threads);
        },
        array("of_result"), array("directed"), array("of_vectors"), nb::arg("threads"));
    m.def(
        "turn",
        [](const Matrix& x, const Places& places, const Matrix& real, const Matrix& imaginary,
           const In<std::int64_t, -1>& directed, const OutMatrix& to, unsigned threads) {
            const RelationSteps steps = relation_steps(directed, x, places, real);
            const nb::gil_scoped_release release;
            turn(steps, x.data(), real.data(), imaginary.data(), to.data(), threads);
        },
        array("x"), array("places").none(), array("real"), array("imaginary"), array("directed"), array("to"),
        nb::arg("threads"));
    m.def(
        "turn_gradients",
        [](const Matrix& of_result, const Matrix& x, const Places& places, const Matrix& real, const Matrix& imaginary,
           const In<std::int64_t, -1>& directed, const OutMatrix& of_x, const OutMatrix& of_real,
           const OutMatrix& of_imaginary, unsigned threads) {
            const RelationSteps steps = relation_steps(directed, x, places, real);
            const nb::gil_scoped_release release;
            turn_gradients(steps, of_result.data(), x.data(), real.data(), imaginary.data(), of_x.data(),
                           of_real.data(), of_imaginary.data(), threads);
        },
        array("of_result"), array("x"), array("places").none(), array("real"), array("imaginary"), array("directed"),
        array("of_x"), array("of_real"), array("of_imaginary"), nb::arg("threads"));
}

}  // namespace

void bind_rows(nb::module_& m) {
    bind_relation_steps(m);
    m.def("empty", &empty, nb::arg("size"));
    m.def("sum_rows", &sum, array("to"), array("places"), array("rows"), nb::arg("onto"), nb::arg("threads"));
    m.def("keep_freed_memory", &keep_freed_memory);
    m.def("gather_rows", &gather, array("table"), array("ids"), array("places").none(), array("to"),
          nb::arg("threads"));
    nb::class_<IdResolver>(m, "IdResolver")
        .def(nb::init<std::uint64_t>(), nb::arg("num_ids"))
        .def("clear", &IdResolver::clear, nb::call_guard<nb::gil_scoped_release>())
        .def("add", &add_ids, array("ids"))
        .def("finish", &IdResolver::finish, nb::call_guard<nb::gil_scoped_release>())
        .def(
            "write",
            [](const IdResolver& resolver, const Out<std::int64_t, -1>& ids) {
                const nb::gil_scoped_release release;
                resolver.write({ids.data(), ids.size()});
            },
            array("ids"))
        .def(
            "locate",
            [](const IdResolver& resolver, const In<std::int64_t, -1>& ids, const Out<std::int64_t, -1>& places) {
                const nb::gil_scoped_release release;
                resolver.locate({ids.data(), ids.size()}, {places.data(), places.size()});
            },
            array("ids"), array("places"))
        .def(
            "contains",
            [](const IdResolver& resolver, const In<std::int64_t, -1>& ids, const Out<bool, -1>& found) {
                const nb::gil_scoped_release release;
                resolver.contains({ids.data(), ids.size()}, {found.data(), found.size()});
            },
            array("ids"), array("found"));
}

}  // namespace graphkit
