// Scores of queries with candidates of their own, and the gradients of both.
#pragma once

#include "coordinates.cuh"
#include "pair_kinds.cuh"

namespace graphkit {

// The most warps of a block that scores: what shared memory is set aside for.
constexpr int kScoringWarps = 4;

// Pairs that a warp scores together, one a lane.
constexpr int kPairsOfWarp = 32;

// Coordinates of a row that a warp reads at once: a cache line of 128 bytes.
constexpr int kStaged = 32;

// Floats between rows in shared memory: eight lanes that read 16 bytes each of their own rows meet all 32 banks.
constexpr int kStagedStride = kStaged + 4;

// Reads coordinates d to d + kStaged of the rows of a warp's pairs, eight lanes a row; `place` is the row of this
// lane's pair, or -1.
template <bool kAtOnce, int kParts, class Row>
__device__ __forceinline__ void stage_rows(const Row* rows, long long place, long long n, long long d,
                                           float (*staged)[kPairsOfWarp][kStagedStride]) {
    constexpr int kLanesOfRow = kStaged / 4;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int c = lane % kLanesOfRow * 4;
#pragma unroll
    for (int first = 0; first < kPairsOfWarp; first += 32 / kLanesOfRow) {
        const int pair = first + lane / kLanesOfRow;
        const long long row = __shfl_sync(0xFFFFFFFFu, place, pair);
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
            float four[4] = {};
            if (row >= 0) read_four<kAtOnce>(rows + (row * kParts + part) * n, d + c, n, four);
            write_at_once(&staged[part][pair][c], four);
        }
    }
}

// Adds the terms of kRun coordinates of this lane's pair: those of the query from d on, those of the row from c on.
template <bool kAtOnce, class Kind>
__device__ __forceinline__ float add_staged_run(const float* query, long long n, long long d,
                                                const float (*staged)[kPairsOfWarp][kStagedStride], int c,
                                                float inside) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float run = 0.0f;
#pragma unroll
    for (int k = 0; k < kRun; k += 4) {
        float q[Kind::kQueryParts][4], e[Kind::kRowParts][4];
#pragma unroll
        for (int part = 0; part < Kind::kQueryParts; ++part) read_four<kAtOnce>(query + part * n, d + k, n, q[part]);
#pragma unroll
        for (int part = 0; part < Kind::kRowParts; ++part) read_at_once(&staged[part][lane][c + k], e[part]);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float of_query[Kind::kQueryParts], of_row[Kind::kRowParts];
#pragma unroll
            for (int part = 0; part < Kind::kQueryParts; ++part) of_query[part] = q[part][i];
#pragma unroll
            for (int part = 0; part < Kind::kRowParts; ++part) of_row[part] = e[part][i];
            run = Kind::add(run, of_query, of_row, inside);
        }
    }
    return run;
}

// What a kernel is given: queries [num_queries, kQueryParts * n], rows [_, kRowParts * n], and the rows of each query's
// candidates at places [num_queries, per_query].
template <class Row>
struct OwnPairs {
    const float* queries;
    const Row* rows;
    const long long* places;
    long long num_queries, per_query, n;
    float inside;
};

template <bool kAtOnce, class Kind, class Row>
__device__ __forceinline__ void score_own(const OwnPairs<Row>& in, float (*staged)[kPairsOfWarp][kStagedStride],
                                          float* scores) {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const long long warps = blockDim.x / 32, pairs = in.num_queries * in.per_query, n = in.n;
    for (long long first = (blockIdx.x * warps + warp) * kPairsOfWarp; first < pairs;
         first += gridDim.x * warps * kPairsOfWarp) {
        const long long pair = first + lane;
        const long long place = pair < pairs ? in.places[pair] : -1;
        // Lanes beyond the last pair take any query: what they score is not kept.
        const float* query = in.queries + (pair < pairs ? pair / in.per_query : 0) * Kind::kQueryParts * n;
        float score = 0.0f;
        for (long long d = 0; d < n; d += kStaged) {
            __syncwarp();  // what was staged has been read
            stage_rows<kAtOnce, Kind::kRowParts>(in.rows, place, n, d, staged);
            __syncwarp();
#pragma unroll 1  // more would not fit into registers
            for (int c = 0; c < kStaged; c += kRun)
                score += add_staged_run<kAtOnce, Kind>(query, n, d + c, staged, c, in.inside);
        }
        if (pair < pairs) scores[pair] = Kind::finish(score);
    }
}

// Fills scores [num_queries, per_query]. Blocks are of 32 w threads, w up to kScoringWarps.
template <class Kind, class Row>
__device__ __forceinline__ void own_scores(const OwnPairs<Row>& in, float* scores) {
    alignas(16) __shared__ float staged[kScoringWarps][Kind::kRowParts][kPairsOfWarp][kStagedStride];
    if (by_fours(in.queries, in.n) && by_fours(in.rows, in.n))
        score_own<true, Kind>(in, staged[threadIdx.x / 32], scores);
    else
        score_own<false, Kind>(in, staged[threadIdx.x / 32], scores);
}

// The pairs of query `item`: neighbours, whose rows stand at their places.
struct PairsOfQuery {
    const long long* places;
    long long per_query;
    __device__ __forceinline__ long long begin(long long item) const { return item * per_query; }
    __device__ __forceinline__ long long end(long long item) const { return (item + 1) * per_query; }
    __device__ __forceinline__ long long pair(long long i) const { return i; }
    __device__ __forceinline__ long long other(long long i) const { return places[i]; }
};

// The pairs of row `item`, in the order of the pairs.
struct PairsOfRow {
    const int* order;
    const long long* offsets;
    unsigned per_query;
    __device__ __forceinline__ long long begin(long long item) const { return offsets[item]; }
    __device__ __forceinline__ long long end(long long item) const { return offsets[item + 1]; }
    __device__ __forceinline__ long long pair(long long i) const { return order[i]; }
    __device__ __forceinline__ long long other(long long i) const {
        return static_cast<unsigned>(order[i]) / per_query;
    }
};

// Gradients of queries, by rows.
template <class Kind>
struct OfQueries {
    static constexpr int kParts = Kind::kQueryParts, kOtherParts = Kind::kRowParts;
    __device__ static __forceinline__ void add(float weight, const float* own, const float* other, float inside,
                                               float* sum) {
        float unused[kOtherParts] = {};
        Kind::gradients(weight, own, other, inside, sum, unused);
    }
};

// Gradients of rows, by queries.
template <class Kind>
struct OfRows {
    static constexpr int kParts = Kind::kRowParts, kOtherParts = Kind::kQueryParts;
    __device__ static __forceinline__ void add(float weight, const float* own, const float* other, float inside,
                                               float* sum) {
        float unused[kOtherParts] = {};
        Kind::gradients(weight, other, own, inside, unused, sum);
    }
};

// Adds what the four coordinates of `other` give to those of `own`.
template <class Side>
__device__ __forceinline__ void add_four(float weight, const float (*own)[4], const float (*other)[4], float inside,
                                         float (*sums)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float mine[Side::kParts], others[Side::kOtherParts], sum[Side::kParts];
#pragma unroll
        for (int part = 0; part < Side::kParts; ++part) {
            mine[part] = own[part][i];
            sum[part] = sums[part][i];
        }
#pragma unroll
        for (int part = 0; part < Side::kOtherParts; ++part) others[part] = other[part][i];
        Side::add(weight, mine, others, inside, sum);
#pragma unroll
        for (int part = 0; part < Side::kParts; ++part) sums[part][i] = sum[part];
    }
}

// What a kernel is given: items [count, kParts * n], whose gradients are asked for, others [_, kOtherParts * n], the
// weights of pairs, and which pairs an item has.
template <class Own, class Other, class Grouping>
struct GroupedPairs {
    const float* weights;
    const Own* items;
    const Other* others;
    Grouping grouping;
    long long count, n;
    float inside;
};

template <bool kAtOnce, class Side, class Own, class Other, class Grouping>
__device__ __forceinline__ void add_own_gradients(const GroupedPairs<Own, Other, Grouping>& in, float* gradients) {
    const long long n = in.n;
    const bool write_at_once = by_fours(gradients, n);
    for (long long item = static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y; item < in.count;
         item += static_cast<long long>(gridDim.x) * blockDim.y) {
        const long long begin = in.grouping.begin(item), end = in.grouping.end(item);
        for (long long d = 4 * static_cast<long long>(threadIdx.x); d < n;
             d += 4 * static_cast<long long>(blockDim.x)) {
            float own[Side::kParts][4], sums[Side::kParts][4] = {};
#pragma unroll
            for (int part = 0; part < Side::kParts; ++part)
                read_four<kAtOnce>(in.items + (item * Side::kParts + part) * n, d, n, own[part]);
// More parts ahead would not fit into registers.
#pragma unroll(Side::kParts + Side::kOtherParts > 2 ? 2 : 4)
            for (long long i = begin; i < end; ++i) {
                float other[Side::kOtherParts][4];
#pragma unroll
                for (int part = 0; part < Side::kOtherParts; ++part)
                    read_four<kAtOnce>(in.others + (in.grouping.other(i) * Side::kOtherParts + part) * n, d, n,
                                       other[part]);
                add_four<Side>(in.weights[in.grouping.pair(i)], own, other, in.inside, sums);
            }
#pragma unroll
            for (int part = 0; part < Side::kParts; ++part)
                write_four(gradients + (item * Side::kParts + part) * n, d, n, write_at_once, sums[part]);
        }
    }
}

// Fills gradients [count, kParts * n]. A block of (x, y) threads has y items, each of x threads with four coordinates
// at a time; an item's pairs are added up in their order.
template <class Side, class Own, class Other, class Grouping>
__device__ __forceinline__ void own_gradients(const GroupedPairs<Own, Other, Grouping>& in, float* gradients) {
    if (by_fours(in.items, in.n) && by_fours(in.others, in.n))
        add_own_gradients<true, Side>(in, gradients);
    else
        add_own_gradients<false, Side>(in, gradients);
}

}  // namespace graphkit
