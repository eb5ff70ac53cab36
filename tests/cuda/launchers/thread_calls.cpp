#include "thread_calls.cu"

SHIM_KERNEL(places)
SHIM_KERNEL(shuffles)
SHIM_KERNEL(votes)
SHIM_KERNEL(atomics_of_ints)
SHIM_KERNEL(atomics_of_floats)
SHIM_KERNEL(bits)
SHIM_KERNEL(prefix_sums)
SHIM_KERNEL(what_was_there)
SHIM_DYNAMIC_SHARED(long long, partial)
