// The part of the extension that is about nodes: clusters, and batches of them.
#pragma once

#include <nanobind/nanobind.h>

namespace graphkit {

void bind_nodes(nanobind::module_& module);

}  // namespace graphkit
