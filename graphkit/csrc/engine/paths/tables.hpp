// The tables that this build has; one that it was not compiled for is null.
#pragma once

#include "engine/kernels.hpp"

namespace graphkit {
namespace portable {
const Kernels* table();
}
namespace avx2 {
const Kernels* table();
}
namespace avx512 {
const Kernels* table();
}
}  // namespace graphkit
