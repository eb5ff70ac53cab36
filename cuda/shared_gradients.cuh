// Gradients of queries and rows that are all compared with each other: as two matrix products, whose left factor is the
// weights and whose terms depend on both vectors.
//
// The block is (x, y), each at most 16: 4 y items (queries or rows) by 4 x coordinates, each thread the gradients of 4
// items at 4 coordinates. The others pass by, kOthers at a time through shared memory, always in one order; the grid
// may divide them into parts, whose sums are added up afterwards.
#pragma once

#include "own_pairs.cuh"
#include "pair_tiles.cuh"

namespace graphkit {

// Others in shared memory at once.
constexpr int kOthers = 16;

// What a kernel is given: items [count, kParts * n], others [num_others, kOtherParts * n], and the weight of item i and
// other o at weights[i * item_stride + o * other_stride], one of the strides being 1.
template <class Own, class Other>
struct SharedPairs {
    const float* weights;
    const Own* items;
    const Other* others;
    long long count, num_others, item_stride, other_stride, n;
    float inside;
};

// Reads weights of `side` items from `first` on with others from `other` to `end`; 0 for what is not there. Neighbours
// in memory are read by neighbouring threads.
template <class Own, class Other>
__device__ __forceinline__ void read_weights(const SharedPairs<Own, Other>& in, long long first, int side,
                                             long long other, long long end, float (*tile)[kTileStride]) {
    for (int i = thread_of_block(); i < side * kOthers; i += threads_of_block()) {
        const int o = in.other_stride == 1 ? i % kOthers : i / side;
        const int item = in.other_stride == 1 ? i / kOthers : i % side;
        const bool there = first + item < in.count && other + o < end;
        tile[o][item] = there ? in.weights[(first + item) * in.item_stride + (other + o) * in.other_stride] : 0.0f;
    }
}

// Reads `side` coordinates from d on of others from `other` to `end`; 0 for what is not there.
template <bool kAtOnce, int kParts, class Own, class Other>
__device__ __forceinline__ void read_others(const SharedPairs<Own, Other>& in, long long other, long long end,
                                            long long d, int side, float (*tile)[kOthers][kTileStride]) {
    const int fours = side / 4;
    for (int i = thread_of_block(); i < kOthers * fours; i += threads_of_block()) {
        const int o = i / fours, c = i % fours * 4;
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
            float four[4] = {};
            if (other + o < end)
                read_four<kAtOnce>(in.others + ((other + o) * kParts + part) * in.n, d + c, in.n, four);
            write_at_once(&tile[part][o][c], four);
        }
    }
}

// Gradients of items from `first` on at coordinates from d on, from others `begin` to `end`, into `gradients`.
template <bool kAtOnce, class Side, class Own, class Other>
__device__ __forceinline__ void gradient_tile(const SharedPairs<Own, Other>& in, long long first, long long d,
                                              long long begin, long long end, float (*weight_tile)[kTileStride],
                                              float (*other_tile)[kOthers][kTileStride], float* gradients) {
    const int items = static_cast<int>(blockDim.y) * kOfThread, coordinates = static_cast<int>(blockDim.x) * kOfThread;
    const int place = static_cast<int>(threadIdx.y) * kOfThread, c = static_cast<int>(threadIdx.x) * kOfThread;
    float own[kOfThread][Side::kParts][4] = {}, sums[kOfThread][Side::kParts][4] = {};
#pragma unroll
    for (int i = 0; i < kOfThread; ++i)
#pragma unroll
        for (int part = 0; part < Side::kParts; ++part)
            if (first + place + i < in.count)
                read_four<kAtOnce>(in.items + ((first + place + i) * Side::kParts + part) * in.n, d + c, in.n,
                                   own[i][part]);
    for (long long other = begin; other < end; other += kOthers) {
        __syncthreads();  // what was in the tiles has been read
        read_weights(in, first, items, other, end, weight_tile);
        read_others<kAtOnce, Side::kOtherParts>(in, other, end, d, coordinates, other_tile);
        __syncthreads();
#pragma unroll 1
        for (int o = 0; o < kOthers; ++o) {
            float weight[kOfThread], values[Side::kOtherParts][4];
            read_at_once(&weight_tile[o][place], weight);
#pragma unroll
            for (int part = 0; part < Side::kOtherParts; ++part) read_at_once(&other_tile[part][o][c], values[part]);
#pragma unroll
            for (int i = 0; i < kOfThread; ++i) add_four<Side>(weight[i], own[i], values, in.inside, sums[i]);
        }
    }
    const bool write_at_once = by_fours(gradients, in.n);
#pragma unroll
    for (int i = 0; i < kOfThread; ++i)
#pragma unroll
        for (int part = 0; part < Side::kParts; ++part)
            if (first + place + i < in.count)
                write_four(gradients + ((first + place + i) * Side::kParts + part) * in.n, d + c, in.n, write_at_once,
                           sums[i][part]);
}

template <bool kAtOnce, class Side, class Own, class Other>
__device__ __forceinline__ void gradient_tiles(const SharedPairs<Own, Other>& in, long long parts,
                                               float (*weight_tile)[kTileStride],
                                               float (*other_tile)[kOthers][kTileStride], float* gradients) {
    const long long items = static_cast<long long>(blockDim.y) * kOfThread;
    const long long coordinates = static_cast<long long>(blockDim.x) * kOfThread;
    const long long across = (in.n + coordinates - 1) / coordinates, down = (in.count + items - 1) / items;
    for (long long tile = blockIdx.x; tile < across * down * parts; tile += gridDim.x) {
        const long long part = tile / (across * down), d = tile % across * coordinates;
        const long long first = tile / across % down * items;
        const long long begin = in.num_others * part / parts, end = in.num_others * (part + 1) / parts;
        gradient_tile<kAtOnce, Side>(in, first, d, begin, end, weight_tile, other_tile,
                                     gradients + part * in.count * Side::kParts * in.n);
    }
}

// Fills gradients [parts, count, kParts * n]: the sums of each part of the others.
template <class Side, class Own, class Other>
__device__ __forceinline__ void shared_gradients(const SharedPairs<Own, Other>& in, long long parts, float* gradients) {
    alignas(16) __shared__ float weight_tile[kOthers][kTileStride];
    alignas(16) __shared__ float other_tile[Side::kOtherParts][kOthers][kTileStride];
    if (by_fours(in.items, in.n) && by_fours(in.others, in.n))
        gradient_tiles<true, Side>(in, parts, weight_tile, other_tile, gradients);
    else
        gradient_tiles<false, Side>(in, parts, weight_tile, other_tile, gradients);
}

}  // namespace graphkit
