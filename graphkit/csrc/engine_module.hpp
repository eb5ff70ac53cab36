// The engine's part of the extension.
#pragma once

#include <nanobind/nanobind.h>

namespace graphkit {

void bind_engine(nanobind::module_& module);
void bind_sparse_optimizers(nanobind::module_& module);

}  // namespace graphkit
