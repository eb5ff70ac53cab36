#include "negative_terms.cu"

SHIM_KERNEL(negative_terms_log_sum_f32)
SHIM_KERNEL(negative_terms_softplus_f32)
