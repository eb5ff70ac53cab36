// Vectors of floats for code that is compiled once for each instruction set: GRAPHKIT_PATH names the namespace, and the
// compiler's flags say how wide a vector is. Everything here is inlined, so that nothing compiled for one instruction
// set is ever linked into code for another.
//
// No include guard: a file of engine/paths includes it once, through the kernels.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define GRAPHKIT_INLINE static inline __attribute__((always_inline, unused))

namespace graphkit::GRAPHKIT_PATH {

#if defined(__AVX512F__)
constexpr std::size_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::size_t kLanes = 8;
#else
constexpr std::size_t kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Bits __attribute__((vector_size(4 * kLanes)));

GRAPHKIT_INLINE Vec load(const float* from) {
    Vec v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

GRAPHKIT_INLINE void store(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }

// Past the caches where the processor can; `to` is a multiple of the size of a vector.
GRAPHKIT_INLINE void stream(std::byte* to, Vec v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(reinterpret_cast<float*>(to), (__m512)v);
#elif defined(__AVX2__)
    _mm256_stream_ps(reinterpret_cast<float*>(to), (__m256)v);
#elif defined(__SSE2__)
    _mm_stream_ps(reinterpret_cast<float*>(to), (__m128)v);
#else
    std::memcpy(to, &v, sizeof v);
#endif
}

// The first `count` lanes, below kLanes; the others are 0.
GRAPHKIT_INLINE Vec load_part(const float* from, std::size_t count) {
#if defined(__AVX512F__)
    return (Vec)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#else
    Vec v = {};
    std::memcpy(&v, from, count * sizeof(float));
    return v;
#endif
}

GRAPHKIT_INLINE void store_part(float* to, Vec v, std::size_t count) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
#else
    std::memcpy(to, &v, count * sizeof(float));
#endif
}

// The first `here` lanes, which may be all.
GRAPHKIT_INLINE Vec load_here(const float* from, std::size_t here) {
    return here == kLanes ? load(from) : load_part(from, here);
}

GRAPHKIT_INLINE void store_here(float* to, Vec v, std::size_t here) {
    if (here == kLanes)
        store(to, v);
    else
        store_part(to, v, here);
}

// Calls visit(place, lanes from there) for `count` values in steps of a vector.
template <class Visitor>
GRAPHKIT_INLINE void for_each_lanes(std::size_t count, Visitor&& visit) {
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) visit(i, kLanes);
    if (i < count) visit(i, count - i);
}

GRAPHKIT_INLINE Vec fill(float value) { return value - Vec{}; }

GRAPHKIT_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
    return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

GRAPHKIT_INLINE Vec abs(Vec v) { return (Vec)((Bits)v & 0x7FFFFFFF); }

// Lanes of `v` where `mask` is all ones, 0 elsewhere.
GRAPHKIT_INLINE Vec keep(Bits mask, Vec v) { return (Vec)((Bits)v & mask); }

// `magnitude` with the sign of `v` multiplied into it; 0 where `v` is 0.
GRAPHKIT_INLINE Vec times_sign(Vec magnitude, Vec v) {
#if defined(__AVX512F__)
    // Two operations, where gcc makes four of what is below: 0x78 is a ^ (b & c).
    const auto bits = [](Vec v) { return (__m512i)v; };
    return (Vec)_mm512_maskz_ternarylogic_epi32(_mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_NEQ_UQ),
                                                bits(magnitude), bits(v), _mm512_set1_epi32(INT32_MIN), 0x78);
#else
    const Vec flipped = (Vec)((Bits)magnitude ^ ((Bits)v & INT32_MIN));
    return keep(v != 0, flipped);
#endif
}

// plus + weight and minus - weight where `v` is above 0, the other way round where it is below, and neither where it is
// 0; weights are finite. NaN counts as below 0 on some paths, and as what its sign bit says on others.
GRAPHKIT_INLINE void add_by_sign(Vec weight, Vec v, Vec& plus, Vec& minus) {
#if defined(__AVX512F__)
    // One operation makes -1, 0 or 1: a digit for each kind of number, from the right NaN (two), 0, 1, infinities and
    // others, those below 0 first; 9 stands for -1, 8 for 0 and A for 1. Products with these are exact.
    constexpr int kSigns = static_cast<int>(0xA9A9A899U);
    const Vec sign = (Vec)_mm512_fixupimm_ps((__m512)v, (__m512)v, _mm512_set1_epi32(kSigns), 0);
    plus = fma(weight, sign, plus);
    minus = (Vec)_mm512_fnmadd_ps((__m512)weight, (__m512)sign, (__m512)minus);
#else
    const Vec added = times_sign(weight, v);
    plus += added;
    minus = fma(added, fill(-1.0f), minus);
#endif
}

GRAPHKIT_INLINE Vec sqrt(Vec v) {
#if defined(__AVX512F__)
    // Not _mm512_sqrt_ps, of whose definition gcc 12 says that it uses a value before it is set.
    return (Vec)_mm512_maskz_sqrt_ps(0xFFFF, (__m512)v);
#elif defined(__AVX2__)
    return (Vec)_mm256_sqrt_ps((__m256)v);
#else
    for (std::size_t i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
    return v;
#endif
}

#if defined(__AVX512F__)
// 1 / sqrt(v) to 14 bits, x; a step of Newton's method, x * (3 - v * x * x) / 2, has 27. Below 1e-35 it is too small,
// and finite at 0. What is added is nothing to other values, and costs less than a mask: processors of today add on two
// units and compare and multiply on others, where the rest of the work is.
GRAPHKIT_INLINE Vec estimate_of_inverse_sqrt(Vec v) {
    return (Vec)_mm512_maskz_rsqrt14_ps(0xFFFF, (__m512)(v + __FLT_MIN__));
}
#endif

// 2 / sqrt(v), to some 3 units in the last place; where v is 0 it is finite on some paths, and 0 on others.
GRAPHKIT_INLINE Vec twice_inverse_sqrt(Vec v) {
#if defined(__AVX512F__)
    const Vec estimate = estimate_of_inverse_sqrt(v);
    return estimate * (Vec)_mm512_fnmadd_ps((__m512)(v * estimate), (__m512)estimate, (__m512)fill(3.0f));
#else
    return keep(v != 0, 2.0f / sqrt(v));
#endif
}

// from[places[i]] in lane i.
GRAPHKIT_INLINE Vec gather(const float* from, Bits places) {
#if defined(__AVX512F__)
    // Not the form without a mask: gcc warns that what it fills is uninitialized.
    return (Vec)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xFFFF, (__m512i)places, from, 4);
#elif defined(__AVX2__)
    return (Vec)_mm256_i32gather_ps(from, (__m256i)places, 4);
#else
    Vec v;
    for (std::size_t i = 0; i < kLanes; ++i) v[i] = from[places[i]];
    return v;
#endif
}

// Whether a lane is not 0.
GRAPHKIT_INLINE bool any(Bits v) {
    std::uint64_t words[kLanes / 2];
    std::memcpy(words, &v, sizeof v);
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < kLanes / 2; ++i) found |= words[i];
    return found != 0;
}

// The sum of the lanes.
GRAPHKIT_INLINE std::int64_t total(Bits v) {
    std::int64_t found = 0;
    for (std::size_t i = 0; i < kLanes; ++i) found += v[i];
    return found;
}

// sum + 2 * sqrt(v), the root to some 2 units in the last place; infinity becomes NaN on some paths,
// of which pair_scores.py says so.
GRAPHKIT_INLINE Vec add_twice_sqrt(Vec sum, Vec v) {
#if defined(__AVX512F__)
    // The root that the processor has would take the time of nine operations.
    const Vec estimate = estimate_of_inverse_sqrt(v), root = v * estimate;
    return fma(root, (Vec)_mm512_fnmadd_ps((__m512)root, (__m512)estimate, (__m512)fill(3.0f)), sum);
#else
    const Vec root = sqrt(v);
    return sum + (root + root);
#endif
}

// The lanes added up, always in the same order.
GRAPHKIT_INLINE float sum(Vec v) {
    float lanes[kLanes];
    std::memcpy(lanes, &v, sizeof v);
    for (std::size_t half = kLanes / 2; half > 0; half /= 2)
        for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    return lanes[0];
}

// Chosen[lane] of the lanes of `a`, followed by those of `b`.
template <std::size_t... Chosen>
GRAPHKIT_INLINE Vec pick(Vec a, Vec b) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, Chosen...);
#else
    return __builtin_shuffle(a, b, Bits{Chosen...});
#endif
}

// Adds lane i + Half to lane i within each 2 * Half lanes of `a` and then `b`, which leaves Half lanes of each.
template <std::size_t Half, std::size_t... Lane>
GRAPHKIT_INLINE Vec fold(Vec a, Vec b, std::index_sequence<Lane...>) {
    return pick<(Lane / Half * 2 * Half + Lane % Half)...>(a, b) +
           pick<(Lane / Half * 2 * Half + Half + Lane % Half)...>(a, b);
}

template <std::size_t Half>
GRAPHKIT_INLINE void fold_all(Vec* v) {
    if constexpr (Half > 0) {
        for (std::size_t i = 0; i < Half; ++i)
            v[i] = fold<Half>(v[2 * i], v[2 * i + 1], std::make_index_sequence<kLanes>());
        fold_all<Half / 2>(v);
    }
}

// The sum of each vector, added up as `sum` does it, by some three operations a vector where there are enough.
template <std::size_t Count>
GRAPHKIT_INLINE void sum_each(const Vec* from, float* to) {
    if constexpr (Count % kLanes == 0) {
        for (std::size_t first = 0; first < Count; first += kLanes) {
            Vec v[kLanes];
            for (std::size_t i = 0; i < kLanes; ++i) v[i] = from[first + i];
            fold_all<kLanes / 2>(v);
            store(to + first, v[0]);
        }
    } else {
        for (std::size_t i = 0; i < Count; ++i) to[i] = sum(from[i]);
    }
}

}  // namespace graphkit::GRAPHKIT_PATH
