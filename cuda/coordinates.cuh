// Reading and writing four coordinates at once, of rows of any width and alignment, in float32 or bfloat16.
#pragma once

#include "packs.cuh"

namespace graphkit {

// Whether each four coordinates of rows whose parts have n coordinates may be read at once.
template <class T>
__device__ __forceinline__ bool by_fours(const T* rows, long long n) {
    return n % 4 == 0 && is_aligned(rows, 4 * sizeof(T));
}

// From a place that is aligned to four values.
template <class T>
__device__ __forceinline__ void read_at_once(const T* from, float (&to)[4]) {
    const Pack<4> found = load_pack<4>(from);
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = found.at[i];
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
        for (int i = 0; i < 4; ++i) to[i] = d + i < n ? load_pack<1>(part + d + i).at[0] : 0.0f;
    }
}

// To a 16-byte aligned place.
__device__ __forceinline__ void write_at_once(float* to, const float (&from)[4]) {
    store_pack(to, Pack<4>{{from[0], from[1], from[2], from[3]}});
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
