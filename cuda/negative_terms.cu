// Terms that losses make of the logits of negatives, and their slopes: see graphkit/engine/kernels/negative_terms.py.
//
// Launch: one dimension, blocks and grids of any size; a block takes a query at a time, whose logits it looks at three
// times (the largest, the sum of exponents, the slopes): exponents are computed again rather than written and read.
// A thread sums its own logits in order and the block its threads, so that results repeat bit for bit.
//
// Predictions, nothing here was measured on a GPU:
//   registers     softplus 48, log-sum 30 on sm_90 (nvcc 13.0): 40 and 64 of 64 warps resident in blocks of 128 or
//                 256 threads, 32 and 64 in larger ones; 256 bytes of shared memory
//   memory        9 bytes a logit (4 and its mask's 1 read, 4 written); the second and third look find the first cache
//   FLOP a logit  softplus 30, with 5 special functions; log-sum 12, with 2. Bound by memory where all negatives are
//                 more than the second cache holds, else by latency
#include "packs.cuh"
#include "warp_sums.cuh"

namespace {

struct Negatives {
    const float* logits;
    const unsigned char* mask;  // 0 or 1: whether a negative counts
    long long count;
    float sharpness;
};

// The exponents of what counts are those of sharpness * logit - `most`, the largest, and add up to `total`; that is 0
// where nothing counts.
struct Exponents {
    float most, total;
};

// The product is rounded, so that the exponent of the largest is 0 exactly.
__device__ __forceinline__ float exponent(const Negatives& in, long long i, float most) {
    return expf(__fmul_rn(in.sharpness, in.logits[i]) - most);
}

__device__ __forceinline__ Exponents exponents(const Negatives& in) {
    float most = -infinity();
    for (long long i = threadIdx.x; i < in.count; i += blockDim.x)
        if (in.mask[i]) most = Largest()(most, __fmul_rn(in.sharpness, in.logits[i]));
    most = block_total(most, Largest());
    if (most == -infinity()) most = 0;
    float total = 0;
    for (long long i = threadIdx.x; i < in.count; i += blockDim.x)
        if (in.mask[i]) total += exponent(in, i, most);
    return {most, block_total(total, Sum())};
}

__device__ __forceinline__ Negatives of_query(const float* logits, const unsigned char* mask, long long query,
                                              long long count, float sharpness) {
    return {logits + query * count, mask + query * count, count, sharpness};
}

}  // namespace

// terms[b] = sum of p * softplus(logit) over what counts, p being the softmax of sharpness * logit, held fixed; 0 where
// nothing counts.
extern "C" __global__ void __launch_bounds__(1024)
    negative_terms_softplus_f32(const float* logits, const unsigned char* mask, long long queries, long long count,
                                float sharpness, float* terms, float* slopes) {
    for (long long b = blockIdx.x; b < queries; b += gridDim.x) {
        const Negatives in = of_query(logits, mask, b, count, sharpness);
        const Exponents of = exponents(in);
        float term = 0;
        for (long long i = threadIdx.x; i < count; i += blockDim.x) {
            float slope = 0;
            if (in.mask[i]) {
                const float share = exponent(in, i, of.most) / of.total, logit = in.logits[i];
                const float z = expf(-fabsf(logit)), whole = 1 / (1 + z);
                if (of.total != 0) {
                    term += share * ((logit > 0 ? logit : 0) + log1pf(z));
                    slope = share * (logit > 0 ? whole : z * whole);
                }
            }
            slopes[b * count + i] = slope;
        }
        term = block_total(term, Sum());
        if (threadIdx.x == 0) terms[b] = term;
    }
}

// terms[b] = logarithm of the sum of e^logit over what counts, -infinity where nothing does.
extern "C" __global__ void __launch_bounds__(1024)
    negative_terms_log_sum_f32(const float* logits, const unsigned char* mask, long long queries, long long count,
                               float* terms, float* slopes) {
    for (long long b = blockIdx.x; b < queries; b += gridDim.x) {
        const Negatives in = of_query(logits, mask, b, count, 1);
        const Exponents of = exponents(in);
        for (long long i = threadIdx.x; i < count; i += blockDim.x)
            slopes[b * count + i] = in.mask[i] && of.total != 0 ? exponent(in, i, of.most) / of.total : 0.0f;
        if (threadIdx.x == 0) terms[b] = of.total != 0 ? of.most + logf(of.total) : -infinity();
    }
}
