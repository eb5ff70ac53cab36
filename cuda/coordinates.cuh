// Reading and writing four coordinates at once, of rows of any width and alignment, in float32 or bfloat16.
#pragma once

namespace graphkit {

// The upper half of a float32. Not the type of cuda_bf16.h, which NVRTC finds only where a CUDA toolkit is installed.
struct Bfloat16 {
    unsigned short bits;
};

__device__ __forceinline__ float to_float(float value) { return value; }

__device__ __forceinline__ float to_float(Bfloat16 value) {
    return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
}

// Whether each four coordinates of rows whose parts have n coordinates may be read at once.
template <class T>
__device__ __forceinline__ bool by_fours(const T* rows, long long n) {
    return n % 4 == 0 && reinterpret_cast<unsigned long long>(rows) % (4 * sizeof(T)) == 0;
}

__device__ __forceinline__ void read_at_once(const float* from, float (&to)[4]) {
    const float4 found = *reinterpret_cast<const float4*>(from);
    to[0] = found.x;
    to[1] = found.y;
    to[2] = found.z;
    to[3] = found.w;
}

__device__ __forceinline__ void read_at_once(const Bfloat16* from, float (&to)[4]) {
    const uint2 found = *reinterpret_cast<const uint2*>(from);
    to[0] = __uint_as_float(found.x << 16);
    to[1] = __uint_as_float(found.x & 0xFFFF0000u);
    to[2] = __uint_as_float(found.y << 16);
    to[3] = __uint_as_float(found.y & 0xFFFF0000u);
}

// Coordinates d to d + 4 of a part of n coordinates, at once if `by_fours` allows it; 0 for those beyond the part. A
// template, since a branch between reads would have each wait for the one before.
template <bool kAtOnce, class T>
__device__ __forceinline__ void read_four(const T* part, long long d, long long n, float (&to)[4]) {
    if (kAtOnce) {
#pragma unroll
        for (int i = 0; i < 4; ++i) to[i] = 0.0f;
        if (d < n) read_at_once(part + d, to);
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) to[i] = d + i < n ? to_float(part[d + i]) : 0.0f;
    }
}

// To a 16-byte aligned place.
__device__ __forceinline__ void write_at_once(float* to, const float (&from)[4]) {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
}

// As `read_four` reads.
__device__ __forceinline__ void write_four(float* part, long long d, long long n, bool at_once,
                                           const float (&from)[4]) {
    if (at_once) {
        if (d < n) write_at_once(part + d, from);
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (d + i < n) part[d + i] = from[i];
    }
}

}  // namespace graphkit
