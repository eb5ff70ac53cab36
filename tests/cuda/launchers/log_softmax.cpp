#include "log_softmax.cu"

SHIM_KERNEL(log_softmax_gradients_bf16)
SHIM_KERNEL(log_softmax_gradients_f32)
SHIM_KERNEL(log_softmax_merge)
SHIM_KERNEL(log_softmax_sums_bf16)
SHIM_KERNEL(log_softmax_sums_f32)
