// Steps of table rows: see graphkit/engine/kernels/sparse_optimizers.py for the rules, whose formulas, roundings and
// random bits are those of graphkit/csrc/engine/paths/sparse_optimizers.hpp.
//
// Launch: one dimension, blocks and grids of any size; a team of `lanes` threads takes a row at a time (warp_sums.cuh).
// Rows are distinct, so that nothing is added up between teams: a weight of the rules without sums over a row has the
// bits of a CPU with fused multiply-add, but for the bias correction of Adam, which is float32 here (3 units in the
// last place of the step).
//
// Predictions, nothing here was measured on a GPU:
//   registers     42 to 62 on sm_90 (nvcc 13.0), bounded for blocks of 1,024: 32 of 64 warps or more are resident.
//                 32 bytes or more of each thread are under way, more than what hides the latency of memory
//   memory        every array once, in 16 bytes a thread where width % 4 == 0 and all are aligned. Bytes a real of
//                 float32 (bfloat16) rows: SGD 12 (8), row-wise Adagrad 12 (8), Adagrad 20 (16), Adam 28 (24); 8 a row
//                 for the id and 16 for its count. Row-wise Adagrad looks at its gradient again in the first cache
//   FLOP a real   SGD 2, row-wise Adagrad 4, Adagrad 6, Adam 12; some 12 integer operations for a random rounding.
//                 Bound by memory on every card: 0.1 to 0.5 FLOP a byte
#include "packs.cuh"
#include "warp_sums.cuh"

namespace {

struct Step {
    long long* steps;       // [N], counted up, or null
    const long long* ids;   // [rows] distinct rows of the table; null = all
    const float* gradient;  // [rows, width]
    long long rows, width, lanes;
    unsigned long long seed;
};

// ---- random bits of stochastic rounding

__device__ __forceinline__ unsigned mix(unsigned x, unsigned key) {
    x = (x ^ (x >> 16)) * 0x7FEB352DU;
    x = ((x ^ (x >> 15)) + key) * 0x846CA68BU;
    return x ^ (x >> 16);
}

// The keys of a row: two numbers made of seed, step and row.
struct RoundingKeys {
    unsigned first = 0, second = 0;

    __device__ RoundingKeys(unsigned long long seed, unsigned long long step, unsigned long long row) {
        take(seed);
        take(step);
        take(row);
    }
    __device__ __forceinline__ void take(unsigned long long value) {
        first = mix(first ^ static_cast<unsigned>(value), static_cast<unsigned>(value >> 32));
        second = mix(second + first, static_cast<unsigned>(value));
    }
    __device__ __forceinline__ unsigned bits(long long d) const {
        return mix(static_cast<unsigned>(d) * 0x9E3779B9U ^ first, second) >> 16;
    }
};

// Rounds up with the probability that makes the expected value exact. A weight that is not finite keeps its kind.
__device__ __forceinline__ unsigned rounded_half(float value, unsigned random) {
    // The bits of a NaN may all be ones, and counting up would make a zero of it. Its upper half is one too: arithmetic
    // leaves none without the top bit of the mantissa. Infinity has no lower bits that could carry.
    return (__float_as_uint(value) + (value == value ? random : 0)) >> 16;
}

// ---- rows of weights

struct FloatRow {
    static constexpr unsigned kPackBytes = 16;
    float* at;

    __device__ FloatRow(float* weight, const Step& in, long long row, long long) : at(weight + row * in.width) {}
    template <int Size>
    __device__ __forceinline__ void put(long long d, const Pack<Size>& v) const {
        store_pack(at + d, v);
    }
};

struct HalfRow {
    static constexpr unsigned kPackBytes = 8;
    unsigned short* at;
    RoundingKeys keys;

    __device__ HalfRow(unsigned short* weight, const Step& in, long long row, long long count)
        : at(weight + row * in.width),
          keys(in.seed, static_cast<unsigned long long>(count), static_cast<unsigned long long>(row)) {}
    template <int Size>
    __device__ __forceinline__ void put(long long d, const Pack<Size>& v) const {
        unsigned words[Size];
        for (int i = 0; i < Size; ++i) words[i] = rounded_half(v.at[i], keys.bits(d + i));
        store_halves(at + d, words);
    }
};

template <class Weight>
struct RowOf;
template <>
struct RowOf<float> {
    using Row = FloatRow;
};
template <>
struct RowOf<unsigned short> {
    using Row = HalfRow;
};

// ---- rules: `enter` a row, then `move` its coordinates from `place` on, counted from the table's first

struct Sgd {
    float lr;

    __device__ bool is_aligned_to(unsigned) const { return true; }
    template <int Size>
    __device__ __forceinline__ void enter(const Step&, const Team&, long long, long long, const float*) {}
    template <int Size>
    __device__ __forceinline__ void move(long long, Pack<Size>& weight, const Pack<Size>& g) const {
        for (int i = 0; i < Size; ++i) weight.at[i] = __fmaf_rn(-lr, g.at[i], weight.at[i]);
    }
};

struct Adagrad {
    float* sums;
    float lr, eps;

    __device__ bool is_aligned_to(unsigned bytes) const { return is_aligned(sums, bytes); }
    template <int Size>
    __device__ __forceinline__ void enter(const Step&, const Team&, long long, long long, const float*) {}
    template <int Size>
    __device__ __forceinline__ void move(long long place, Pack<Size>& weight, const Pack<Size>& g) const {
        Pack<Size> sum = load_pack<Size>(sums + place);
        for (int i = 0; i < Size; ++i) {
            sum.at[i] = __fmaf_rn(g.at[i], g.at[i], sum.at[i]);
            weight.at[i] = weight.at[i] - lr * g.at[i] / (sqrtf(sum.at[i]) + eps);
        }
        store_pack(sums + place, sum);
    }
};

struct RowAdagrad {
    float* sums;
    float lr, eps, rate;

    __device__ bool is_aligned_to(unsigned) const { return true; }
    template <int Size>
    __device__ __forceinline__ void enter(const Step& in, const Team& team, long long row, long long,
                                          const float* gradient) {
        float squares = 0;
        for (long long d = Size * team.lane; d < in.width; d += Size * team.lanes) {
            const Pack<Size> g = load_pack<Size>(gradient + d);
            for (int i = 0; i < Size; ++i) squares = __fmaf_rn(g.at[i], g.at[i], squares);
        }
        squares = team_total(team, squares, Sum());
        float sum = 0;
        if (team.lane == 0) {
            sum = sums[row] + squares / static_cast<float>(in.width);
            sums[row] = sum;
        }
        rate = lr / (sqrtf(team_first(team, sum)) + eps);
    }
    template <int Size>
    __device__ __forceinline__ void move(long long, Pack<Size>& weight, const Pack<Size>& g) const {
        for (int i = 0; i < Size; ++i) weight.at[i] = __fmaf_rn(-rate, g.at[i], weight.at[i]);
    }
};

struct Adam {
    float *means, *squares;
    float lr, log_beta1, log_beta2;         // natural logarithms: 1 - beta^n is -expm1(n log beta), without cancelling
    float of_mean, of_square, kept_square;  // 1 - beta1, 1 - beta2, beta2
    float eps, scale, inverse_root;

    __device__ bool is_aligned_to(unsigned bytes) const {
        return is_aligned(means, bytes) && is_aligned(squares, bytes);
    }
    template <int Size>
    __device__ __forceinline__ void enter(const Step&, const Team&, long long, long long count, const float*) {
        scale = lr / -expm1f(static_cast<float>(count) * log_beta1);
        inverse_root = 1 / sqrtf(-expm1f(static_cast<float>(count) * log_beta2));
    }
    template <int Size>
    __device__ __forceinline__ void move(long long place, Pack<Size>& weight, const Pack<Size>& g) const {
        Pack<Size> mean = load_pack<Size>(means + place), square = load_pack<Size>(squares + place);
        for (int i = 0; i < Size; ++i) {
            mean.at[i] = __fmaf_rn(of_mean, g.at[i] - mean.at[i], mean.at[i]);
            square.at[i] = __fmaf_rn(of_square, g.at[i] * g.at[i], kept_square * square.at[i]);
            weight.at[i] = weight.at[i] - scale * mean.at[i] / __fmaf_rn(sqrtf(square.at[i]), inverse_root, eps);
        }
        store_pack(means + place, mean);
        store_pack(squares + place, square);
    }
};

// ---- all rows of a step

// Counts a step of a row; returns how many it has now had, 0 where nobody counts.
__device__ __forceinline__ long long counted(const Step& in, const Team& team, long long row) {
    if (in.steps == nullptr) return 0;
    long long count = 0;
    if (team.lane == 0) {
        count = in.steps[row] + 1;
        in.steps[row] = count;
    }
    return team_first(team, count);
}

template <int Size, class Weight, class Rule>
__device__ __forceinline__ void step_rows_by(const Step& in, Weight* weight, Rule rule) {
    const Team team = team_of(in.lanes);
    for (long long u = team.index; u < in.rows; u += team.count) {
        const long long row = in.ids == nullptr ? u : in.ids[u];
        const float* gradient = in.gradient + u * in.width;
        const long long count = counted(in, team, row);
        rule.template enter<Size>(in, team, row, count, gradient);
        const typename RowOf<Weight>::Row to(weight, in, row, count);
        for (long long d = Size * team.lane; d < in.width; d += Size * team.lanes) {
            const Pack<Size> g = load_pack<Size>(gradient + d);
            Pack<Size> moved = load_pack<Size>(to.at + d);
            rule.template move<Size>(row * in.width + d, moved, g);
            to.put(d, moved);
        }
    }
}

template <class Weight, class Rule>
__device__ __forceinline__ void step_rows(const Step& in, Weight* weight, const Rule& rule) {
    const bool packed = in.width % 4 == 0 && is_aligned(in.gradient, 16) &&
                        is_aligned(weight, RowOf<Weight>::Row::kPackBytes) && rule.is_aligned_to(16);
    if (packed)
        step_rows_by<4>(in, weight, rule);
    else
        step_rows_by<1>(in, weight, rule);
}

}  // namespace

#define GRAPHKIT_STEPS(DTYPE, WEIGHT)                                                                                 \
    extern "C" __global__ void __launch_bounds__(1024)                                                                \
        sparse_optimizers_sgd_##DTYPE(WEIGHT* weight, long long* steps, const long long* ids, const float* gradient,  \
                                      long long rows, long long width, long long lanes, long long seed, float lr) {   \
        step_rows(Step{steps, ids, gradient, rows, width, lanes, static_cast<unsigned long long>(seed)}, weight,      \
                  Sgd{lr});                                                                                           \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(1024) sparse_optimizers_adagrad_##DTYPE(                             \
        WEIGHT* weight, float* total, long long* steps, const long long* ids, const float* gradient, long long rows,  \
        long long width, long long lanes, long long seed, float lr, float eps) {                                      \
        step_rows(Step{steps, ids, gradient, rows, width, lanes, static_cast<unsigned long long>(seed)}, weight,      \
                  Adagrad{total, lr, eps});                                                                           \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(1024) sparse_optimizers_row_adagrad_##DTYPE(                         \
        WEIGHT* weight, float* total, long long* steps, const long long* ids, const float* gradient, long long rows,  \
        long long width, long long lanes, long long seed, float lr, float eps) {                                      \
        step_rows(Step{steps, ids, gradient, rows, width, lanes, static_cast<unsigned long long>(seed)}, weight,      \
                  RowAdagrad{total, lr, eps, 0});                                                                     \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(1024) sparse_optimizers_adam_##DTYPE(                                \
        WEIGHT* weight, float* mean, float* square, long long* steps, const long long* ids, const float* gradient,    \
        long long rows, long long width, long long lanes, long long seed, float lr, float log_beta1, float log_beta2, \
        float of_mean, float of_square, float kept_square, float eps) {                                               \
        step_rows(Step{steps, ids, gradient, rows, width, lanes, static_cast<unsigned long long>(seed)}, weight,      \
                  Adam{mean, square, lr, log_beta1, log_beta2, of_mean, of_square, kept_square, eps, 0, 0});          \
    }

GRAPHKIT_STEPS(f32, float)
GRAPHKIT_STEPS(bf16, unsigned short)
