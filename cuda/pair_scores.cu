// Scores of pairs of a query and a row, and their gradients: see graphkit/engine/kernels/pair_scores.py. Shared dot
// products are a matrix product, which torch has. No atomic operations: results repeat bit for bit.
//
// Kernels are pair_scores_OPERATION_KIND_DTYPE (pair_instances.cuh); below they go by their operations.
//
// Launch: grids of any size in one dimension. graphkit/engine/cuda/pair_scores.py chooses blocks from shapes:
//   own_scores                 32 w threads, w from 1 to 4 (chosen: 4); a warp scores 32 neighbouring pairs, one a
//                              lane, whose rows pass through shared memory, a cache line of each at a time
//   own_{query,row}_gradients  (x, y), up to 256 threads (chosen: 128); an item has x threads (chosen: as many as have
//                              four coordinates each) that go through its pairs. A row of very many pairs is slow
//   shared_*                   (x, y), each up to 16; a tile of 4 y by 4 x, each thread 4 by 4 (chosen: 16 and 16 where
//                              that makes 288 tiles or more, else 8 and 8); gradients divide what they add up into
//                              `parts` where tiles are few
//
// Registers are those that ptxas 13.0 gives on sm_90, without spills. Predictions, nothing here was measured on a GPU:
//   own_scores                 58 registers (two parts: 72 to 80), 18 KiB of shared memory (rotate: 36): 32 of 64 warps
//                              resident (two parts: 24). 4 D + 12 bytes a pair (bfloat16: 2 D + 12), and queries from
//                              caches. 2 to 9 FLOP a coordinate, 0.5 to 2 a byte: bound by memory
//   own_{query,row}_gradients  48 to 80 registers: 32 warps, or 24. Each of the two reads 4 D bytes a pair (those of
//                              rows: 4 W, which stay in the second cache), and 8 to 12 of weight and place; 2 to 12
//                              FLOP a coordinate: bound by memory
//   shared_scores              86 to 117 registers, 9 to 17 KiB: 16 warps. A 64 x 64 tile reads D / 8 bytes a pair,
//                              from the second cache. 2 (l1), 3 (l2, centred), 7 (box) or 9 FLOP a coordinate (rotate,
//                              and a special function, of which a multiprocessor starts 16 a clock): bound by
//                              arithmetic
//   shared_*_gradients         72 to 128 registers, 9 to 13 KiB: 16 warps. 3 to 12 FLOP a coordinate in each of the
//                              two: bound by arithmetic
// Expected: 70 % of the bandwidth for own candidates, 50 % of the rate of float32 instructions for shared ones.
#include "own_pairs.cuh"
#include "pair_tiles.cuh"
#include "shared_gradients.cuh"

namespace graphkit {

// Fills scores [num_queries, num_rows], tile by tile; blocks as `score_tile` takes them. Tiles of the same rows follow
// each other, so that the rows come from the second cache for all queries but the first.
template <class Kind, class Row>
__device__ __forceinline__ void score_shared(const Pairs<Row>& in, float* scores) {
    const long long queries = static_cast<long long>(blockDim.y) * kOfThread;
    const long long rows = static_cast<long long>(blockDim.x) * kOfThread;
    const long long down = (in.num_queries + queries - 1) / queries, across = (in.num_rows + rows - 1) / rows;
    const bool at_once = by_fours(scores, in.num_rows);
    for (long long tile = blockIdx.x; tile < down * across; tile += gridDim.x) {
        const long long first_query = tile % down * queries, first_row = tile / down * rows;
        float found[kOfThread][kOfThread];
        score_tile<Kind>(in, first_query, first_row, found);
        const long long row = first_row + threadIdx.x * kOfThread;
#pragma unroll
        for (int i = 0; i < kOfThread; ++i) {
            const long long query = first_query + threadIdx.y * kOfThread + i;
            if (query < in.num_queries) write_four(scores + query * in.num_rows, row, in.num_rows, at_once, found[i]);
        }
    }
}

}  // namespace graphkit

#define GRAPHKIT_OWN(kind, Kind, dtype, Row)                                                                         \
    extern "C" __global__ void __launch_bounds__(128, 6) pair_scores_own_scores_##kind##_##dtype(                    \
        const float* queries, const Row* rows, const long long* places, long long num_queries, long long per_query,  \
        long long n, float inside, float* scores) {                                                                  \
        const graphkit::OwnPairs<Row> in{queries, rows, places, num_queries, per_query, n, inside};                  \
        graphkit::own_scores<Kind>(in, scores);                                                                      \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(256, 3) pair_scores_own_query_gradients_##kind##_##dtype(           \
        const float* weights, const float* queries, const Row* rows, const long long* places, long long num_queries, \
        long long per_query, long long n, float inside, float* gradients) {                                          \
        const graphkit::GroupedPairs<float, Row, graphkit::PairsOfQuery> in{                                         \
            weights, queries, rows, {places, per_query}, num_queries, n, inside};                                    \
        graphkit::own_gradients<graphkit::OfQueries<Kind>>(in, gradients);                                           \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(256, 3) pair_scores_own_row_gradients_##kind##_##dtype(             \
        const float* weights, const float* queries, const Row* rows, const int* order, const long long* offsets,     \
        long long num_rows, long long per_query, long long n, float inside, float* gradients) {                      \
        const graphkit::GroupedPairs<Row, float, graphkit::PairsOfRow> in{                                           \
            weights, rows, queries, {order, offsets, static_cast<unsigned>(per_query)}, num_rows, n, inside};        \
        graphkit::own_gradients<graphkit::OfRows<Kind>>(in, gradients);                                              \
    }

#define GRAPHKIT_SHARED(kind, Kind, dtype, Row)                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                             \
        pair_scores_shared_scores_##kind##_##dtype(const float* queries, const Row* rows, long long num_queries,     \
                                                   long long num_rows, long long n, float inside, float* scores) {   \
        graphkit::score_shared<Kind>(graphkit::Pairs<Row>{queries, rows, num_queries, num_rows, n, inside}, scores); \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(256, 2) pair_scores_shared_query_gradients_##kind##_##dtype(        \
        const float* weights, const float* queries, const Row* rows, long long num_queries, long long num_rows,      \
        long long n, float inside, long long parts, float* gradients) {                                              \
        const graphkit::SharedPairs<float, Row> in{weights,  queries, rows, num_queries, num_rows,                   \
                                                   num_rows, 1,       n,    inside};                                 \
        graphkit::shared_gradients<graphkit::OfQueries<Kind>>(in, parts, gradients);                                 \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(256, 2) pair_scores_shared_row_gradients_##kind##_##dtype(          \
        const float* weights, const float* queries, const Row* rows, long long num_queries, long long num_rows,      \
        long long n, float inside, long long parts, float* gradients) {                                              \
        const graphkit::SharedPairs<Row, float> in{weights, rows,     queries, num_rows, num_queries,                \
                                                   1,       num_rows, n,       inside};                              \
        graphkit::shared_gradients<graphkit::OfRows<Kind>>(in, parts, gradients);                                    \
    }

// Shared dot products are a matrix product, which torch has.
#define GRAPHKIT_dot(dtype, Row) GRAPHKIT_OWN(dot, graphkit::Dot, dtype, Row)
#define GRAPHKIT_BOTH(kind, Kind, dtype, Row) \
    GRAPHKIT_OWN(kind, Kind, dtype, Row)      \
    GRAPHKIT_SHARED(kind, Kind, dtype, Row)
#define GRAPHKIT_l1(dtype, Row) GRAPHKIT_BOTH(l1, graphkit::L1, dtype, Row)
#define GRAPHKIT_l2(dtype, Row) GRAPHKIT_BOTH(l2, graphkit::L2, dtype, Row)
#define GRAPHKIT_rotate(dtype, Row) GRAPHKIT_BOTH(rotate, graphkit::Rotate, dtype, Row)
#define GRAPHKIT_box(dtype, Row) GRAPHKIT_BOTH(box, graphkit::Box, dtype, Row)
#define GRAPHKIT_centred(dtype, Row) GRAPHKIT_BOTH(centred, graphkit::Centred, dtype, Row)

#include "pair_instances.cuh"
