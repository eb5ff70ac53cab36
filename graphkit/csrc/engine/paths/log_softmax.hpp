// Softmax over long rows of logits, which arrive chunk by chunk and may be bfloat16: the upper halves of floats.

namespace graphkit::GRAPHKIT_PATH {

GRAPHKIT_INLINE Vec load_logits(const float* from) { return load(from); }

GRAPHKIT_INLINE Vec load_logits(const std::uint16_t* from) {
    Bits v;
    for (std::size_t i = 0; i < kLanes; ++i)
        v[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(from[i]) << 16);
    return (Vec)v;
}

GRAPHKIT_INLINE void store_logits(float* to, Vec v) { store(to, v); }

// Rounded to the nearest, ties to even; weights of a softmax are never NaN.
GRAPHKIT_INLINE void store_logits(std::uint16_t* to, Vec v) {
    const Bits bits = (Bits)v, rounded = bits + 0x7FFF + ((bits >> 16) & 1);
    for (std::size_t i = 0; i < kLanes; ++i)
        to[i] = static_cast<std::uint16_t>(static_cast<std::uint32_t>(rounded[i]) >> 16);
}

// e^x for x up to 0, to some 2 units in the last place; 0 below -87, where a float has few digits left. NaN stays.
GRAPHKIT_INLINE Vec exp_of_negative(Vec x) {
    const Bits counts = ~(x <= fill(-87.0f));
    const Vec bounded = counts ? x : fill(-87.0f);
    const Vec turns = fma(bounded, fill(1.44269504f), fill(12582912.0f)) - 12582912.0f;  // rounded to whole numbers
    Vec rest = fma(turns, fill(-0.693359375f), bounded);
    rest = fma(turns, fill(2.12194440e-4f), rest);
    Vec series = fill(1.9875691500e-4f);
    for (const float factor :
         {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        series = fma(series, rest, fill(factor));
    series = fma(series, rest * rest, rest + 1.0f);
    const Bits power = (__builtin_convertvector(turns, Bits) + 127) << 23;
    return keep(counts, series * (Vec)power);
}

// The largest of logits and `least`; a NaN is none of them, and shows in the sum.
template <class Logit>
GRAPHKIT_INLINE float largest(const Logit* logits, std::size_t count, float least) {
    Vec most = fill(least);
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        const Vec v = load_logits(logits + i);
        most = v > most ? v : most;
    }
    float found = least;
    for (std::size_t lane = 0; lane < kLanes; ++lane)
        if (most[lane] > found) found = most[lane];
    for (; i < count; ++i) {
        Logit last[kLanes] = {};
        last[0] = logits[i];
        const float v = load_logits(last)[0];
        if (v > found) found = v;
    }
    return found;
}

// Adds e^(logit - most) of a chunk of a row to `total`, where `most` becomes the largest logit so far.
template <class Logit>
GRAPHKIT_INLINE void softmax_sum(const Logit* logits, std::size_t count, float& most, float& total) {
    const float now = largest(logits, count, most);
    if (now > most) total *= __builtin_expf(most - now);
    most = now;
    Vec sums = {};
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) sums += exp_of_negative(load_logits(logits + i) - now);
    if (i < count) {
        Logit last[kLanes] = {};
        std::memcpy(last, logits + i, (count - i) * sizeof(Logit));
        float ends[kLanes];
        store(ends, exp_of_negative(load_logits(last) - now));
        for (std::size_t lane = 0; lane < count - i; ++lane) total += ends[lane];
    }
    total += sum(sums);
}

// Replaces logits by weight * e^(logit - log_total).
template <class Logit>
GRAPHKIT_INLINE void softmax_weights(Logit* logits, std::size_t count, float log_total, float weight) {
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
        store_logits(logits + i, weight * exp_of_negative(load_logits(logits + i) - log_total));
    if (i < count) {
        Logit last[kLanes] = {};
        std::memcpy(last, logits + i, (count - i) * sizeof(Logit));
        store_logits(last, weight * exp_of_negative(load_logits(last) - log_total));
        std::memcpy(logits + i, last, (count - i) * sizeof(Logit));
    }
}

static void softmax_sums(const void* logits, bool halves, std::size_t count, float& most, float& total) {
    if (halves)
        softmax_sum(static_cast<const std::uint16_t*>(logits), count, most, total);
    else
        softmax_sum(static_cast<const float*>(logits), count, most, total);
}

static void softmax_gradients(void* logits, bool halves, std::size_t count, float log_total, float weight) {
    if (halves)
        softmax_weights(static_cast<std::uint16_t*>(logits), count, log_total, weight);
    else
        softmax_weights(static_cast<float*>(logits), count, log_total, weight);
}

}  // namespace graphkit::GRAPHKIT_PATH
