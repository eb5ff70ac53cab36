// What losses make of the logits of negatives, some of which are masked out: a term for each query, and its slopes.

namespace graphkit::GRAPHKIT_PATH {

// All ones in lanes whose byte is 1.
GRAPHKIT_INLINE Bits load_mask(const bool* from, std::size_t count) {
    typedef signed char Bytes __attribute__((vector_size(kLanes)));
    Bytes bytes = {};
    std::memcpy(&bytes, from, count);
    return -__builtin_convertvector(bytes, Bits);
}

// log(1 + z) for z from 0 to 1, as 2 artanh(z / (2 + z)): small ones keep their digits.
GRAPHKIT_INLINE Vec log_of_1_plus(Vec z) {
    const Vec w = z / (2.0f + z), square = w * w;
    Vec series = fill(1.0f / 15);
    for (const float factor : {1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3, 1.0f})
        series = fma(series, square, fill(factor));
    return 2.0f * w * series;
}

struct Softplus {
    Vec value, slope;
};

// log(1 + e^v), and its slope, the sigmoid.
GRAPHKIT_INLINE Softplus softplus_of(Vec v) {
    const Vec z = exp_of_negative(-abs(v)), whole = 1.0f / (1.0f + z);
    const Bits positive = v > 0;
    return {keep(positive, v) + log_of_1_plus(z), positive ? whole : z * whole};
}

static void softplus(const float* from, std::size_t count, float* values, float* slopes) {
    for_each_lanes(count, [&](std::size_t i, std::size_t here) {
        const Softplus found = softplus_of(load_here(from + i, here));
        store_here(values + i, found.value, here);
        store_here(slopes + i, found.slope, here);
    });
}

// Calls visit(place, lanes from there, values, mask) for a row in steps of a vector; values beyond the row are 0 and
// masked out.
template <class Visitor>
GRAPHKIT_INLINE void for_each_negative(const float* logits, const bool* mask, std::size_t count, Visitor&& visit) {
    for_each_lanes(count, [&](std::size_t i, std::size_t here) {
        visit(i, here, load_here(logits + i, here), load_mask(mask + i, here));
    });
}

// Fills `weights` with e^(sharpness * logit - most) of what counts, `most` being the largest; returns their sum and
// leaves `most`. The sum is 0 where nothing counts.
GRAPHKIT_INLINE float masked_exponents(const float* logits, const bool* mask, std::size_t count, float sharpness,
                                       float* weights, float& most) {
    const Vec least = fill(-__builtin_inff());
    Vec largest = least;
    for_each_negative(logits, mask, count, [&](std::size_t, std::size_t, Vec v, Bits counts) {
        const Vec sharp = counts ? sharpness * v : least;
        largest = sharp > largest ? sharp : largest;
    });
    most = -__builtin_inff();
    for (std::size_t lane = 0; lane < kLanes; ++lane) most = largest[lane] > most ? largest[lane] : most;
    const float from = most > -__builtin_inff() ? most : 0.0f;
    Vec sums = {};
    for_each_negative(logits, mask, count, [&](std::size_t i, std::size_t here, Vec v, Bits counts) {
        const Vec weight = keep(counts, exp_of_negative(sharpness * v - from));
        sums += weight;
        store_here(weights + i, weight, here);
    });
    return sum(sums);
}

// The sum of p * softplus(logit), where p is the softmax of sharpness * logit, and slopes p * sigmoid(logit).
static float softplus_term(const float* logits, const bool* mask, std::size_t count, float sharpness, float* slopes) {
    float most;
    const float total = masked_exponents(logits, mask, count, sharpness, slopes, most);
    if (total == 0) return 0;
    Vec terms = {};
    for_each_negative(logits, mask, count, [&](std::size_t i, std::size_t here, Vec v, Bits counts) {
        const Vec share = load_here(slopes + i, here) / total;
        const Softplus found = softplus_of(v);
        terms += keep(counts, share * found.value);
        store_here(slopes + i, keep(counts, share * found.slope), here);
    });
    return sum(terms);
}

// The logarithm of the sum of e^logit, and the softmax as slopes.
static float log_sum_term(const float* logits, const bool* mask, std::size_t count, float* slopes) {
    float most;
    const float total = masked_exponents(logits, mask, count, 1.0f, slopes, most);
    if (total == 0) return -__builtin_inff();
    for_each_lanes(count, [&](std::size_t i, std::size_t here) {
        store_here(slopes + i, load_here(slopes + i, here) / total, here);
    });
    return most + __builtin_logf(total);
}

}  // namespace graphkit::GRAPHKIT_PATH
