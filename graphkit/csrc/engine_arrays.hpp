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

// An argument that is such an array as it is: it is never converted, since what was written into a copy would be lost.
inline auto array(const char* name) { return nanobind::arg(name).noconvert(); }

}  // namespace graphkit
