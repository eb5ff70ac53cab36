// The kernels for x86-64-v3; the build compiles this file, and no other, with that instruction set.
#if defined(__AVX2__) && defined(__FMA__)
#define GRAPHKIT_PATH avx2
#include "engine/paths/all_kernels.hpp"
#else
#include "engine/paths/tables.hpp"

namespace graphkit::avx2 {
const Kernels* table() { return nullptr; }
}  // namespace graphkit::avx2
#endif
