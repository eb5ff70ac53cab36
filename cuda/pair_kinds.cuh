// The kinds of scores of a query and a row: what a coordinate adds to a score, and what it gives to gradients.
//
// Queries and rows may have two parts: a real and an imaginary one, or a centre and a half width. Coordinate d of part
// i stands at i * n + d, where n is the number of coordinates.
//
// Every kernel adds a score up in one order: kRun coordinates after each other from 0, and these sums after each other.
// Products join sums by fmaf, so that no compiler may round them differently in different kernels. So a pair has the
// same score, bit for bit, wherever it stands, and ties of ranks are exact. A sum of n terms passes kRun + n / kRun
// roundings: at n = 512 its error is at most 48 / 2^24 = 3e-6 of the sum of the terms' sizes.
#pragma once

namespace graphkit {

// Coordinates that are added up before they join a score.
constexpr int kRun = 16;

// `magnitude` with the sign of `value` multiplied into it; 0 where `value` is 0.
__device__ __forceinline__ float times_sign(float magnitude, float value) {
    const float flipped = __uint_as_float(__float_as_uint(magnitude) ^ (__float_as_uint(value) & 0x80000000u));
    return value != 0.0f ? flipped : 0.0f;
}

// 1 / sqrt(square), finite where `square` is 0: what it multiplies is 0 there. Squares below 2^-126 and infinity count
// as the nearest normal number: a modulus below 1e-19 comes out too small, by less than itself.
__device__ __forceinline__ float inverse_root(float square) {
    return rsqrtf(fminf(fmaxf(square, 1.17549435e-38f), 3.40282347e+38f));
}

struct Dot {
    static constexpr int kQueryParts = 1, kRowParts = 1;
    __device__ static __forceinline__ float add(float sum, const float* q, const float* e, float) {
        return fmaf(q[0], e[0], sum);
    }
    __device__ static __forceinline__ float finish(float sum) { return sum; }
    __device__ static __forceinline__ void gradients(float weight, const float* q, const float* e, float, float* dq,
                                                     float* de) {
        dq[0] = fmaf(weight, e[0], dq[0]);
        de[0] = fmaf(weight, q[0], de[0]);
    }
};

struct L1 {
    static constexpr int kQueryParts = 1, kRowParts = 1;
    __device__ static __forceinline__ float add(float sum, const float* q, const float* e, float) {
        return sum + fabsf(e[0] - q[0]);
    }
    __device__ static __forceinline__ float finish(float sum) { return sum; }
    __device__ static __forceinline__ void gradients(float weight, const float* q, const float* e, float, float* dq,
                                                     float* de) {
        const float of_row = times_sign(weight, e[0] - q[0]);
        de[0] += of_row;
        dq[0] -= of_row;
    }
};

struct L2 {
    static constexpr int kQueryParts = 1, kRowParts = 1;
    __device__ static __forceinline__ float add(float sum, const float* q, const float* e, float) {
        const float difference = e[0] - q[0];
        return fmaf(difference, difference, sum);
    }
    __device__ static __forceinline__ float finish(float sum) { return sqrtf(sum); }
    // `weight` has been divided by the distance.
    __device__ static __forceinline__ void gradients(float weight, const float* q, const float* e, float, float* dq,
                                                     float* de) {
        const float difference = e[0] - q[0];
        de[0] = fmaf(weight, difference, de[0]);
        dq[0] = fmaf(-weight, difference, dq[0]);
    }
};

struct Rotate {
    static constexpr int kQueryParts = 2, kRowParts = 2;
    __device__ static __forceinline__ float add(float sum, const float* q, const float* e, float) {
        const float real = e[0] - q[0], imaginary = e[1] - q[1];
        const float square = fmaf(real, real, imaginary * imaginary);
        return fmaf(square, inverse_root(square), sum);
    }
    __device__ static __forceinline__ float finish(float sum) { return sum; }
    __device__ static __forceinline__ void gradients(float weight, const float* q, const float* e, float, float* dq,
                                                     float* de) {
        const float real = e[0] - q[0], imaginary = e[1] - q[1];
        const float scaled = weight * inverse_root(fmaf(real, real, imaginary * imaginary));
        de[0] = fmaf(scaled, real, de[0]);
        de[1] = fmaf(scaled, imaginary, de[1]);
        dq[0] = fmaf(-scaled, real, dq[0]);
        dq[1] = fmaf(-scaled, imaginary, dq[1]);
    }
};

struct Box {
    static constexpr int kQueryParts = 2, kRowParts = 1;
    __device__ static __forceinline__ float add(float sum, const float* q, const float* e, float inside) {
        const float distance = fabsf(e[0] - q[0]);
        // A half width that is not a number is beyond too: the score is none either, as the twin's.
        const bool is_within = distance <= q[1];
        const float beyond = is_within ? 0.0f : distance - q[1];
        return fmaf(fabsf(is_within ? distance : q[1]), inside, sum + beyond);
    }
    __device__ static __forceinline__ float finish(float sum) { return sum; }
    __device__ static __forceinline__ void gradients(float weight, const float* q, const float* e, float inside,
                                                     float* dq, float* de) {
        const float difference = e[0] - q[0], least = inside * weight;
        const bool beyond = fabsf(difference) > q[1];
        const float of_row = times_sign(beyond ? weight : least, difference);
        de[0] += of_row;
        dq[0] -= of_row;
        // Beyond the box the half width takes off all of its length, and adds it by `inside`.
        dq[1] += beyond ? times_sign(least, q[1]) - weight : 0.0f;
    }
};

struct Centred {
    static constexpr int kQueryParts = 2, kRowParts = 1;
    __device__ static __forceinline__ float add(float sum, const float* q, const float* e, float) {
        return fmaf(q[0], e[0] - q[1], sum);
    }
    __device__ static __forceinline__ float finish(float sum) { return sum; }
    __device__ static __forceinline__ void gradients(float weight, const float* q, const float* e, float, float* dq,
                                                     float* de) {
        de[0] = fmaf(weight, q[0], de[0]);
        dq[0] = fmaf(weight, e[0] - q[1], dq[0]);
        dq[1] = fmaf(-weight, q[0], dq[1]);
    }
};

}  // namespace graphkit
