#include "duplicate_ids.cu"

SHIM_KERNEL(duplicate_ids_sums_f32)
SHIM_KERNEL(duplicate_ids_sums_bf16)
