// Arrays as the engine's bindings take them: contiguous, in host memory.
#pragma once

#include <nanobind/ndarray.h>

namespace graphkit {

template <class T, int... Shape>
using In = nanobind::ndarray<const T, nanobind::c_contig, nanobind::device::cpu, nanobind::shape<Shape...>>;
template <class T, int... Shape>
using Out = nanobind::ndarray<T, nanobind::c_contig, nanobind::device::cpu, nanobind::shape<Shape...>>;
using Matrix = In<float, -1, -1>;
using OutMatrix = Out<float, -1, -1>;

}  // namespace graphkit
