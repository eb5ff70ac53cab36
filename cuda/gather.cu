// Rows of a table, copied to where a step wants them, and rows added where they belong: see graphkit/engine/table.py
// and graphkit/engine/taken_rows.py for the operations, whose bits these are.
//
// Launch: one dimension, blocks and grids of any size; a team of `lanes` threads takes a row at a time (warp_sums.cuh).
// Rows that are added to one place are added by one team, in the order in which they occur, without atomics.
//
// Predictions, nothing here was measured on a GPU:
//   registers     64 or fewer, as launch bounds want it for blocks of 1,024: 32 of 64 warps or more are resident, each
//                 thread with up to four packs under way. The 1 in the bounds is for sm_100, where nvcc 13.0 makes it
//                 32 otherwise, and gather_rows_bf16 spills
//   memory        gather: 8 bytes a real of float32, 6 of bfloat16; 8 a row for its id, 8 for its place. Add: 4 bytes a
//                 real that is added, 8 for each of a row that is added to; 16 a row. Every access is of whole lines if
//                 rows are. Each in 16 bytes a thread (bfloat16: 8) where width % 4 == 0 and all are aligned.
//   FLOP a real   gather: 0. Add: 1, in a chain as long as a place has rows: thousands of rows to one place are waited
//                 for one after another.
#include "packs.cuh"
#include "warp_sums.cuh"

namespace {

template <int Size, class Row>
__device__ __forceinline__ void gather_by(const Row* __restrict__ table, long long width,
                                          const long long* __restrict__ ids, const long long* __restrict__ places,
                                          float* __restrict__ rows, long long count, const Team& team) {
    for (long long i = team.index; i < count; i += team.count) {
        const Row* from = table + ids[i] * width;
        float* to = rows + (places == nullptr ? i : places[i]) * width;
#pragma unroll 4
        for (long long d = Size * team.lane; d < width; d += Size * team.lanes)
            store_pack(to + d, load_pack<Size>(from + d));
    }
}

template <class Row>
__device__ __forceinline__ void gather(const Row* table, long long width, const long long* ids, const long long* places,
                                       float* rows, long long count, long long lanes) {
    const Team team = team_of(lanes);
    if (width % 4 == 0 && is_aligned(table, 4 * sizeof(Row)) && is_aligned(rows, 16))
        gather_by<4>(table, width, ids, places, rows, count, team);
    else
        gather_by<1>(table, width, ids, places, rows, count, team);
}

template <int Size>
__device__ __forceinline__ void add_by(float* __restrict__ to, long long width, const long long* __restrict__ places,
                                       const long long* __restrict__ order, const float* __restrict__ added,
                                       long long count, const Team& team) {
    for (long long first = team.index; first < count; first += team.count) {
        // The team of the first of equal places adds them all.
        const long long place = places[first];
        if (first > 0 && places[first - 1] == place) continue;
        long long end = first + 1;
        while (end < count && places[end] == place) ++end;
        float* row = to + place * width;
        for (long long d = Size * team.lane; d < width; d += Size * team.lanes) {
            Pack<Size> sum = load_pack<Size>(row + d);
#pragma unroll 4
            for (long long i = first; i < end; ++i) {
                const Pack<Size> next = load_pack<Size>(added + order[i] * width + d);
#pragma unroll
                for (int k = 0; k < Size; ++k) sum.at[k] += next.at[k];
            }
            store_pack(row + d, sum);
        }
    }
}

}  // namespace

// Copies row ids[i] of a table [N, width] to row places[i] of rows [_, width], or to row i without places, for i to
// count. Places are distinct.
extern "C" __global__ void __launch_bounds__(1024, 1)
    gather_rows_f32(const float* table, long long width, const long long* ids, const long long* places, float* rows,
                    long long count, long long lanes) {
    gather(table, width, ids, places, rows, count, lanes);
}

extern "C" __global__ void __launch_bounds__(1024, 1)
    gather_rows_bf16(const unsigned short* table, long long width, const long long* ids, const long long* places,
                     float* rows, long long count, long long lanes) {
    gather(table, width, ids, places, rows, count, lanes);
}

// Adds row order[i] of added [count, width] to row places[i] of to [_, width]. Places ascend, and `order` does among
// equal ones.
extern "C" __global__ void __launch_bounds__(1024, 1)
    gather_add_f32(float* to, long long width, const long long* places, const long long* order, const float* added,
                   long long count, long long lanes) {
    const Team team = team_of(lanes);
    if (width % 4 == 0 && is_aligned(to, 16) && is_aligned(added, 16))
        add_by<4>(to, width, places, order, added, count, team);
    else
        add_by<1>(to, width, places, order, added, count, team);
}
