// Counts of candidates that score above, and level with, answers: see graphkit/engine/kernels/rank_counts.py. They are
// sums of integers, by atomic operations whose order does not show.
//
// Kernels are rank_counts_given_f32, of given scores, and rank_counts_pairs_KIND_DTYPE (pair_instances.cuh).
//
// Launch: grids of any size in one dimension. graphkit/engine/cuda/rank_counts.py chooses blocks from shapes:
//   given         32 w threads, w up to 8 (chosen: 8); a warp has 64 scores of a query at a time
//   pairs         (x, y), each up to 16, in whole warps; a tile of 4 y queries by 4 x rows as in pair_tiles.cuh
//                 (chosen: 16 and 16 where that makes 288 tiles or more, else 8 and 8), whose scores pass through
//                 shared memory to warps that count those of one query each
//
// Registers are those that ptxas 13.0 gives on sm_90, without spills. Predictions, nothing here was measured on a GPU:
//   given         32 registers, 256 bytes of shared memory: 64 of 64 warps resident. 4 bytes a score; bound by memory
//                 up to some 4 answers a query
//   pairs         101 to 122 registers, 26 to 35 KiB: 16 warps. D / 8 bytes a pair, from the second cache; the FLOP of
//                 shared_scores in pair_scores.cu and, for each pair, 6 instructions an answer (if there are more than
//                 32: 5 a step of the search among them, and an atomic operation for a score that is not below all
//                 answers): bound by arithmetic
// Expected: as shared_scores, less a tenth at 400 coordinates and 10 answers a query.
#include "pair_tiles.cuh"

namespace graphkit {

// Answers of a query up to which a warp compares its scores with each, one answer a lane; more are searched.
constexpr int kFewAnswers = 32;

// Scores of a query that a lane of a warp counts together.
constexpr int kOfLane = kTileSide / 32;

// Floats between the queries of a tile of scores: a warp reads one query's, its threads write 4 by 4.
constexpr int kScoreStride = kTileSide + 4;

// Answers to queries, the entities that do not compete with them, and what is counted: counts[0] above and counts[1]
// level with each of num_answers. Scores of a query with more than kFewAnswers are counted in buckets, those of query v
// with answers a to b from 2 a + v on: 2 i for scores between answers i - 1 and i, 2 i + 1 for those level with answer
// i, the first of its equals.
struct Answers {
    const float* scores;
    const long long* offsets;
    const long long* known;
    const long long* known_offsets;
    long long num_answers, first_entity;
    unsigned long long* counts;
    unsigned long long* buckets;
    int* wrong;
};

// Returns the first of values[begin, end), which ascend, that is not below `least`.
template <class T>
__device__ __forceinline__ long long lower_bound(const T* values, long long begin, long long end, T least) {
    while (begin < end) {
        const long long middle = begin + (end - begin) / 2;
        if (values[middle] < least)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

// Sets bits of the kOfLane words at `bits` for known entities among the 32 kOfLane candidates from `first` on. A warp
// calls it together.
__device__ __forceinline__ void mark_known(const Answers& answers, long long query, long long first, unsigned* bits) {
    const int lane = thread_of_block() % 32;
    const long long begin = answers.first_entity + first, end = begin + 32 * kOfLane;
    const long long last = answers.known_offsets[query + 1];
    __syncwarp();  // the bits before have been read
    if (lane < kOfLane) bits[lane] = 0;
    __syncwarp();
    for (long long i = lower_bound(answers.known, answers.known_offsets[query], last, begin) + lane; i < last;
         i += 32) {
        if (answers.known[i] >= end) break;
        const int place = static_cast<int>(answers.known[i] - begin);
        atomicOr(&bits[place / 32], 1u << place % 32);
    }
    __syncwarp();
}

// Compares a warp's scores with up to kFewAnswers of a query from `begin` on, lane j having the answer begin + j.
__device__ __forceinline__ void compare_all(const Answers& answers, long long begin, int count,
                                            const float (&scores)[kOfLane], const bool (&competes)[kOfLane]) {
    const int lane = thread_of_block() % 32;
    const float own = lane < count ? answers.scores[begin + lane] : 0.0f;
    int above = 0, level = 0;
    for (int j = 0; j < count; ++j) {
        const float answer = __shfl_sync(0xFFFFFFFFu, own, j);
        int more = 0, same = 0;
#pragma unroll
        for (int i = 0; i < kOfLane; ++i) {
            more += __popc(__ballot_sync(0xFFFFFFFFu, competes[i] && scores[i] > answer));
            same += __popc(__ballot_sync(0xFFFFFFFFu, competes[i] && scores[i] == answer));
        }
        above = lane == j ? more : above;
        level = lane == j ? same : level;
    }
    if (above > 0) atomicAdd(&answers.counts[begin + lane], static_cast<unsigned long long>(above));
    if (level > 0)
        atomicAdd(&answers.counts[answers.num_answers + begin + lane], static_cast<unsigned long long>(level));
}

// Puts each score into the bucket of the answers [begin, end) of a query; scores below all answers count for none.
__device__ __forceinline__ void search_all(const Answers& answers, long long query, long long begin, long long end,
                                           const float (&scores)[kOfLane], const bool (&competes)[kOfLane]) {
    const float lowest = answers.scores[begin];
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
        if (!competes[i] || !(scores[i] >= lowest)) continue;
        const long long place = lower_bound(answers.scores, begin, end, scores[i]);
        const bool is_level = place < end && answers.scores[place] == scores[i];
        atomicAdd(&answers.buckets[2 * place + query + (is_level ? 1 : 0)], 1ull);
    }
}

// Counts scores of a query with candidates from `first` on, of which `count` exist; scores[i] of lane l is that of
// candidate first + 32 i + l. A warp calls it together, with kOfLane words of shared memory of its own.
__device__ __forceinline__ void count_scores(const Answers& answers, long long query, long long first, long long count,
                                             const float (&scores)[kOfLane], unsigned* bits) {
    const int lane = thread_of_block() % 32;
    const long long begin = answers.offsets[query], end = answers.offsets[query + 1];
    mark_known(answers, query, first, bits);
    bool competes[kOfLane], wrong = false;
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
        const bool there = 32 * i + lane < count;
        wrong = wrong || (there && scores[i] != scores[i]);
        competes[i] = there && (bits[i] >> lane & 1u) == 0;
    }
    if (__any_sync(0xFFFFFFFFu, wrong) && lane == 0) atomicOr(&answers.wrong[query], 1);
    if (end - begin > kFewAnswers)
        search_all(answers, query, begin, end, scores, competes);
    else
        compare_all(answers, begin, static_cast<int>(end - begin), scores, competes);
}

// Counts scores [num_queries, width] of candidates; a warp has 32 kOfLane of a query at a time.
__device__ __forceinline__ void count_given(const float* candidates, long long num_queries, long long width,
                                            const Answers& answers) {
    __shared__ unsigned bits[32][kOfLane];
    const int warp = thread_of_block() / 32, lane = thread_of_block() % 32;
    const long long warps = threads_of_block() / 32, across = (width + 32 * kOfLane - 1) / (32 * kOfLane);
    for (long long i = blockIdx.x * warps + warp; i < num_queries * across; i += gridDim.x * warps) {
        const long long query = i / across, first = i % across * 32 * kOfLane;
        float scores[kOfLane];
#pragma unroll
        for (int k = 0; k < kOfLane; ++k) {
            const long long candidate = first + 32 * k + lane;
            scores[k] = candidate < width ? candidates[query * width + candidate] : 0.0f;
        }
        count_scores(answers, query, first, width - first, scores, bits[warp]);
    }
}

// Counts scores `offset` - distance of all pairs, tile by tile; they lie in shared memory only.
template <class Kind, class Row>
__device__ __forceinline__ void count_tiles(const Pairs<Row>& in, float offset, const Answers& answers) {
    alignas(16) __shared__ float tile_scores[kTileSide][kScoreStride];
    __shared__ unsigned bits[32][kOfLane];
    const int queries = static_cast<int>(blockDim.y) * kOfThread, rows = static_cast<int>(blockDim.x) * kOfThread;
    const int warp = thread_of_block() / 32, lane = thread_of_block() % 32, warps = threads_of_block() / 32;
    const long long down = (in.num_queries + queries - 1) / queries, across = (in.num_rows + rows - 1) / rows;
    for (long long tile = blockIdx.x; tile < down * across; tile += gridDim.x) {
        const long long first_query = tile % down * queries, first_row = tile / down * rows;
        float found[kOfThread][kOfThread];
        score_tile<Kind>(in, first_query, first_row, found);
        __syncthreads();  // what was in the tile of scores has been counted
#pragma unroll
        for (int i = 0; i < kOfThread; ++i) {
#pragma unroll
            for (int j = 0; j < kOfThread; ++j) found[i][j] = offset - found[i][j];
            write_at_once(&tile_scores[threadIdx.y * kOfThread + i][threadIdx.x * kOfThread], found[i]);
        }
        __syncthreads();
        const long long here = in.num_rows - first_row < rows ? in.num_rows - first_row : rows;
        for (int i = warp; i < queries && first_query + i < in.num_queries; i += warps) {
            float scores[kOfLane];
#pragma unroll
            for (int k = 0; k < kOfLane; ++k) scores[k] = 32 * k + lane < rows ? tile_scores[i][32 * k + lane] : 0.0f;
            count_scores(answers, first_query + i, first_row, here, scores, bits[warp]);
        }
    }
}

}  // namespace graphkit

#define GRAPHKIT_given(dtype, Score)                                                                             \
    extern "C" __global__ void __launch_bounds__(256) rank_counts_given_##dtype(                                 \
        const Score* candidates, long long num_queries, long long width, const float* scores,                    \
        const long long* offsets, const long long* known, const long long* known_offsets, long long num_answers, \
        long long first, unsigned long long* counts, unsigned long long* buckets, int* wrong) {                  \
        const graphkit::Answers answers{scores, offsets, known,   known_offsets, num_answers,                    \
                                        first,  counts,  buckets, wrong};                                        \
        graphkit::count_given(candidates, num_queries, width, answers);                                          \
    }

#define GRAPHKIT_COUNT(kind, Kind, dtype, Row)                                                                       \
    extern "C" __global__ void __launch_bounds__(256, 2) rank_counts_pairs_##kind##_##dtype(                         \
        const float* queries, const Row* rows, long long num_queries, long long num_rows, long long n, float inside, \
        float offset, const float* scores, const long long* offsets, const long long* known,                         \
        const long long* known_offsets, long long num_answers, long long first, unsigned long long* counts,          \
        unsigned long long* buckets, int* wrong) {                                                                   \
        const graphkit::Pairs<Row> in{queries, rows, num_queries, num_rows, n, inside};                              \
        const graphkit::Answers answers{scores, offsets, known,   known_offsets, num_answers,                        \
                                        first,  counts,  buckets, wrong};                                            \
        graphkit::count_tiles<Kind>(in, offset, answers);                                                            \
    }

#define GRAPHKIT_dot(dtype, Row) GRAPHKIT_COUNT(dot, graphkit::Dot, dtype, Row)
#define GRAPHKIT_l1(dtype, Row) GRAPHKIT_COUNT(l1, graphkit::L1, dtype, Row)
#define GRAPHKIT_l2(dtype, Row) GRAPHKIT_COUNT(l2, graphkit::L2, dtype, Row)
#define GRAPHKIT_rotate(dtype, Row) GRAPHKIT_COUNT(rotate, graphkit::Rotate, dtype, Row)
#define GRAPHKIT_box(dtype, Row) GRAPHKIT_COUNT(box, graphkit::Box, dtype, Row)
#define GRAPHKIT_centred(dtype, Row) GRAPHKIT_COUNT(centred, graphkit::Centred, dtype, Row)

// Its candidates are scores, which have no kind: at run time -DGRAPHKIT_KIND=given asks for it.
#ifndef GRAPHKIT_KIND
GRAPHKIT_given(f32, float)
#endif
#include "pair_instances.cuh"
