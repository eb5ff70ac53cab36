// The kernels for x86-64-v4; the build compiles this file, and no other, with that instruction set.
#if defined(__AVX512F__)
#define GRAPHKIT_PATH avx512
#include "engine/paths/all_kernels.hpp"
#else
#include "engine/paths/tables.hpp"

namespace graphkit::avx512 {
const Kernels* table() { return nullptr; }
}  // namespace graphkit::avx512
#endif
