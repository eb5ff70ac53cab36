#include "gather.cu"

SHIM_KERNEL(gather_rows_f32)
SHIM_KERNEL(gather_rows_bf16)
SHIM_KERNEL(gather_add_f32)
