// Threads that work on a row together, and what they add up: teams within a warp for short rows, blocks for long ones.
// The order of every sum follows from the number of threads alone, so that a result repeats bit for bit.
#pragma once

// A power of two of neighbours in a warp, up to 32.
struct Team {
    unsigned mask;           // their lanes of the warp
    int lane, lanes;         // the place of this thread, of how many
    long long index, count;  // the place of this team, of how many in the grid
};

// The team of a thread where `lanes` share a row, or as many as the block has. Threads that make no whole team have an
// index beyond all rows.
__device__ __forceinline__ Team team_of(long long lanes) {
    while (lanes > blockDim.x) lanes /= 2;
    const int size = static_cast<int>(lanes), thread = static_cast<int>(threadIdx.x), in_warp = thread % 32;
    const long long in_block = blockDim.x / size;
    Team team;
    team.lanes = size;
    team.lane = in_warp % size;
    team.mask = (size == 32 ? 0xFFFFFFFFu : (1u << size) - 1) << (in_warp - team.lane);
    team.count = in_block * gridDim.x;
    team.index = thread / size < in_block ? blockIdx.x * in_block + thread / size : 0x7FFFFFFFFFFFFFFFLL;
    return team;
}

// The value of the team's first thread.
template <class T>
__device__ __forceinline__ T team_first(const Team& team, T value) {
    return __shfl_sync(team.mask, value, static_cast<int>(threadIdx.x) % 32 - team.lane);
}

struct Sum {
    template <class T>
    __device__ __forceinline__ T operator()(T a, T b) const {
        return a + b;
    }
};

// A NaN is larger than nothing.
struct Largest {
    template <class T>
    __device__ __forceinline__ T operator()(T a, T b) const {
        return b > a ? b : a;
    }
};

// What all values of the team combine to, the same bits for each of its threads.
template <class T, class Combine>
__device__ __forceinline__ T team_total(const Team& team, T value, const Combine& combine) {
    for (int offset = team.lanes / 2; offset > 0; offset /= 2)
        value = combine(value, __shfl_xor_sync(team.mask, value, offset));
    return value;
}

// What the values of all threads of the block combine to, for each of them. All threads call it together.
template <class T, class Combine>
__device__ __forceinline__ T block_total(T value, const Combine& combine) {
    __shared__ T of_warps[32];
    const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
    const int lane = thread % 32, warp = thread / 32, warps = (threads + 31) / 32;
    // The last warp may have fewer threads; a lane without a partner asks itself.
    const int lanes = threads - 32 * warp < 32 ? threads - 32 * warp : 32;
    const unsigned mask = lanes == 32 ? 0xFFFFFFFFu : (1u << lanes) - 1;
    for (int offset = 16; offset > 0; offset /= 2) {
        const int partner = lane + offset;
        const T other = __shfl_sync(mask, value, partner < lanes ? partner : lane);
        if (partner < lanes) value = combine(value, other);
    }
    if (lane == 0) of_warps[warp] = value;
    __syncthreads();
    T total = of_warps[0];
    for (int i = 1; i < warps; ++i) total = combine(total, of_warps[i]);
    // The next call writes where slower threads may still read.
    __syncthreads();
    return total;
}
