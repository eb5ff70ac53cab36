// Scores of a tile of queries and rows, each thread those of 4 queries with 4 rows.
//
// The block is (x, y), each at most 16: 4 y queries by 4 x rows. kRun coordinates at a time pass through shared memory,
// which makes a tile's reads coalesced and gives each value that it holds to 4 x or 4 y pairs.
#pragma once

#include "coordinates.cuh"
#include "pair_kinds.cuh"

namespace graphkit {

// Queries or rows that a thread compares.
constexpr int kOfThread = 4;

// The most queries or rows of a tile.
constexpr int kTileSide = 64;

// Floats between coordinates in shared memory: 16-byte aligned, and beginning in different banks.
constexpr int kTileStride = kTileSide + 4;

// What a kernel is given: queries [num_queries, kQueryParts * n] and rows [num_rows, kRowParts * n].
template <class Row>
struct Pairs {
    const float* queries;
    const Row* rows;
    long long num_queries, num_rows, n;
    float inside;
};

__device__ __forceinline__ int thread_of_block() { return static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); }

__device__ __forceinline__ int threads_of_block() { return static_cast<int>(blockDim.x * blockDim.y); }

// Reads coordinates d to d + kRun of `side` vectors from `first` on into tile[part][coordinate][vector]; 0 for what is
// not there.
template <bool kAtOnce, int kParts, class T>
__device__ __forceinline__ void read_tile(const T* from, long long count, long long n, long long first, int side,
                                          long long d, float (*tile)[kRun][kTileStride]) {
    constexpr int kFours = kRun / 4;
    for (int i = thread_of_block(); i < side * kFours; i += threads_of_block()) {
        const int place = i / kFours, c = i % kFours * 4;
        const long long vector = first + place;
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
            float four[4] = {};
            if (vector < count) read_four<kAtOnce>(from + (vector * kParts + part) * n, d + c, n, four);
#pragma unroll
            for (int k = 0; k < 4; ++k) tile[part][c + k][place] = four[k];
        }
    }
}

// Adds the terms of kRun coordinates in shared memory.
template <class Kind>
__device__ __forceinline__ void add_run(const float (*q_tile)[kRun][kTileStride],
                                        const float (*e_tile)[kRun][kTileStride], float inside,
                                        float (&run)[kOfThread][kOfThread]) {
    const int first_query = static_cast<int>(threadIdx.y) * kOfThread;
    const int first_row = static_cast<int>(threadIdx.x) * kOfThread;
#pragma unroll
    for (int c = 0; c < kRun; ++c) {
        float q[Kind::kQueryParts][kOfThread], e[Kind::kRowParts][kOfThread];
#pragma unroll
        for (int part = 0; part < Kind::kQueryParts; ++part) read_at_once(&q_tile[part][c][first_query], q[part]);
#pragma unroll
        for (int part = 0; part < Kind::kRowParts; ++part) read_at_once(&e_tile[part][c][first_row], e[part]);
#pragma unroll
        for (int i = 0; i < kOfThread; ++i)
#pragma unroll
            for (int j = 0; j < kOfThread; ++j) {
                float of_query[Kind::kQueryParts], of_row[Kind::kRowParts];
#pragma unroll
                for (int part = 0; part < Kind::kQueryParts; ++part) of_query[part] = q[part][i];
#pragma unroll
                for (int part = 0; part < Kind::kRowParts; ++part) of_row[part] = e[part][j];
                run[i][j] = Kind::add(run[i][j], of_query, of_row, inside);
            }
    }
}

template <bool kAtOnce, class Kind, class Row>
__device__ __forceinline__ void add_runs(const Pairs<Row>& in, long long first_query, long long first_row,
                                         float (*q_tile)[kRun][kTileStride], float (*e_tile)[kRun][kTileStride],
                                         float (&scores)[kOfThread][kOfThread]) {
    const int queries = static_cast<int>(blockDim.y) * kOfThread, rows = static_cast<int>(blockDim.x) * kOfThread;
    for (long long d = 0; d < in.n; d += kRun) {
        __syncthreads();  // what was in the tiles has been read
        read_tile<kAtOnce, Kind::kQueryParts>(in.queries, in.num_queries, in.n, first_query, queries, d, q_tile);
        read_tile<kAtOnce, Kind::kRowParts>(in.rows, in.num_rows, in.n, first_row, rows, d, e_tile);
        __syncthreads();
        float run[kOfThread][kOfThread] = {};
        add_run<Kind>(q_tile, e_tile, in.inside, run);
#pragma unroll
        for (int i = 0; i < kOfThread; ++i)
#pragma unroll
            for (int j = 0; j < kOfThread; ++j) scores[i][j] += run[i][j];
    }
}

// Scores of queries from `first_query` on with rows from `first_row` on; those of pairs that do not exist mean nothing.
// All threads of the block call it together.
template <class Kind, class Row>
__device__ __forceinline__ void score_tile(const Pairs<Row>& in, long long first_query, long long first_row,
                                           float (&scores)[kOfThread][kOfThread]) {
    alignas(16) __shared__ float q_tile[Kind::kQueryParts][kRun][kTileStride];
    alignas(16) __shared__ float e_tile[Kind::kRowParts][kRun][kTileStride];
#pragma unroll
    for (int i = 0; i < kOfThread; ++i)
#pragma unroll
        for (int j = 0; j < kOfThread; ++j) scores[i][j] = 0.0f;
    if (by_fours(in.queries, in.n) && by_fours(in.rows, in.n))
        add_runs<true, Kind>(in, first_query, first_row, q_tile, e_tile, scores);
    else
        add_runs<false, Kind>(in, first_query, first_row, q_tile, e_tile, scores);
#pragma unroll
    for (int i = 0; i < kOfThread; ++i)
#pragma unroll
        for (int j = 0; j < kOfThread; ++j) scores[i][j] = Kind::finish(scores[i][j]);
}

}  // namespace graphkit
