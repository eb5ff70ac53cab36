// Gradients of equal ids, added up in the order in which they occur: see graphkit/engine/kernels/duplicate_ids.py. Who
// launches has sorted the ids.
//
// Launch: one dimension, blocks and grids of any size; a team of `lanes` threads takes a group at a time
// (warp_sums.cuh), and adds its rows one after another: float32 has the bits of the CPU.
//
// Predictions, nothing here was measured on a GPU:
//   registers     64 or fewer, as launch bounds want it for blocks of 1,024: 32 of 64 warps or more are resident, each
//                 thread with up to four packs under way. Bounds are those of gather.cu, which says why
//   memory        4 bytes a real of float32 that is added, 4 for each of a sum (bfloat16: 2 and 2), 8 a row for its
//                 place in the order, 16 a group. In 16 bytes a thread (bfloat16: 8) where width % 4 == 0 and all are
//                 aligned.
//   FLOP a real   1, in a chain as long as the group: one id of thousands of rows is waited for after all others.
#include "packs.cuh"
#include "warp_sums.cuh"

namespace {

template <int Size, class Row>
__device__ __forceinline__ void sum_by(const Row* __restrict__ gradients, long long width,
                                       const long long* __restrict__ order, const long long* __restrict__ offsets,
                                       Row* __restrict__ sums, long long groups, const Team& team) {
    for (long long u = team.index; u < groups; u += team.count) {
        const long long begin = offsets[u], end = offsets[u + 1];
        for (long long d = Size * team.lane; d < width; d += Size * team.lanes) {
            Pack<Size> sum = load_pack<Size>(gradients + order[begin] * width + d);
#pragma unroll 4
            for (long long i = begin + 1; i < end; ++i) {
                const Pack<Size> next = load_pack<Size>(gradients + order[i] * width + d);
#pragma unroll
                for (int k = 0; k < Size; ++k) sum.at[k] += next.at[k];
            }
            store_pack(sums + u * width + d, sum);
        }
    }
}

template <class Row>
__device__ __forceinline__ void sum(const Row* gradients, long long width, const long long* order,
                                    const long long* offsets, Row* sums, long long groups, long long lanes) {
    const Team team = team_of(lanes);
    if (width % 4 == 0 && is_aligned(gradients, 4 * sizeof(Row)) && is_aligned(sums, 4 * sizeof(Row)))
        sum_by<4>(gradients, width, order, offsets, sums, groups, team);
    else
        sum_by<1>(gradients, width, order, offsets, sums, groups, team);
}

}  // namespace

// Fills sums [groups, width]: those of rows order[offsets[u]] to order[offsets[u + 1] - 1], at least one, of gradients
// [_, width]. bfloat16 is added as float32, and rounded once.
extern "C" __global__ void __launch_bounds__(1024, 1)
    duplicate_ids_sums_f32(const float* gradients, long long width, const long long* order, const long long* offsets,
                           float* sums, long long groups, long long lanes) {
    sum(gradients, width, order, offsets, sums, groups, lanes);
}

extern "C" __global__ void __launch_bounds__(1024, 1)
    duplicate_ids_sums_bf16(const unsigned short* gradients, long long width, const long long* order,
                            const long long* offsets, unsigned short* sums, long long groups, long long lanes) {
    sum(gradients, width, order, offsets, sums, groups, lanes);
}
