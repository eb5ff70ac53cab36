// The kernels for any processor.
#define GRAPHKIT_PATH portable
#include "engine/paths/all_kernels.hpp"
