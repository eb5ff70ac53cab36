#include "beta_moments.cu"

SHIM_KERNEL(beta_moments_f32)
SHIM_KERNEL(beta_moments_gradients_f32)
