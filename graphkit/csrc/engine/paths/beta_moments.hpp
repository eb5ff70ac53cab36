// Moments of Beta distributions, in double precision: their differences cancel.
//
// Each function shifts its argument up by eight, where a short asymptotic series is exact to 1e-12, and takes the shift
// back by the polynomial p(x) = x (x + 1) ... (x + 7): lnΓ(x) = lnΓ(x + 8) - ln p, ψ(x) = ψ(x + 8) - p'/p, and
// ψ'(x) = ψ'(x + 8) + (p'² - p p'') / p².

namespace graphkit::GRAPHKIT_PATH {

constexpr std::size_t kWideLanes = kLanes / 2;
constexpr int kShift = 8;

typedef double Wide __attribute__((vector_size(8 * kWideLanes)));
typedef std::int64_t WideBits __attribute__((vector_size(8 * kWideLanes)));
typedef float Narrow __attribute__((vector_size(4 * kWideLanes)));

GRAPHKIT_INLINE Wide fill_wide(double value) { return value - Wide{}; }

// The first `count` lanes; the others are 1, where all functions are tame.
GRAPHKIT_INLINE Wide load_wide(const float* from, std::size_t count) {
    Narrow v = 1.0f - Narrow{};
    std::memcpy(&v, from, count * sizeof(float));
    return __builtin_convertvector(v, Wide);
}

GRAPHKIT_INLINE Narrow narrow(Wide v) { return __builtin_convertvector(v, Narrow); }

GRAPHKIT_INLINE void store_narrow(float* to, Narrow v, std::size_t count) {
    std::memcpy(to, &v, count * sizeof(float));
}

GRAPHKIT_INLINE double sum_wide(Wide v, std::size_t count) {
    double total = 0;
    for (std::size_t i = 0; i < count; ++i) total += v[i];
    return total;
}

// ln x for normal x above 0, by ln m = 2 artanh((m - 1) / (m + 1)) for the mantissa m between √½ and √2.
GRAPHKIT_INLINE Wide log_wide(Wide x) {
    const WideBits bits = (WideBits)x;
    // Exponents are counted from √½ on.
    const WideBits shifted = bits - 0x3FE6A09E667F3BCDLL;
    const WideBits exponent = shifted >> 52;
    const Wide mantissa = (Wide)(bits - (exponent << 52));
    const Wide f = (mantissa - 1.0) / (mantissa + 1.0), square = f * f;
    Wide series = fill_wide(1.0 / 21);
    for (const double factor : {1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3})
        series = series * square + factor;
    const Wide small = 2.0 * f * (series * square + 1.0);
    return __builtin_convertvector(exponent, Wide) * 0.69314718055994530942 + small;
}

// What the shift of an argument needs.
struct Shifted {
    Wide x;        // shifted
    Wide inverse;  // 1 / x
    Wide p, first, second;
};

GRAPHKIT_INLINE Shifted shift(Wide x, bool derivatives) {
    Shifted s{x, {}, fill_wide(1), {}, {}};
    for (int i = 0; i < kShift; ++i) {
        if (derivatives) s.second = s.second * s.x + 2.0 * s.first;
        s.first = s.first * s.x + s.p;
        s.p *= s.x;
        s.x += 1.0;
    }
    s.inverse = 1.0 / s.x;
    return s;
}

// lnΓ of the shifted argument but for ½ ln 2π.
GRAPHKIT_INLINE Wide log_gamma(const Shifted& s, Wide log_x) {
    const Wide z = s.inverse * s.inverse;
    Wide series = fill_wide(-691.0 / 360360);
    for (const double factor : {1.0 / 1188, -1.0 / 1680, 1.0 / 1260, -1.0 / 360, 1.0 / 12})
        series = series * z + factor;
    return (s.x - 0.5) * log_x - s.x + series * s.inverse;
}

// ψ of the argument, given the logarithm of the shifted one.
GRAPHKIT_INLINE Wide digamma(const Shifted& s, Wide log_x) {
    const Wide z = s.inverse * s.inverse;
    Wide series = fill_wide(691.0 / 32760);
    for (const double factor : {-1.0 / 132, 1.0 / 240, -1.0 / 252, 1.0 / 120, -1.0 / 12}) series = series * z + factor;
    return log_x - 0.5 * s.inverse + series * z - s.first / s.p;
}

// ψ' of the argument.
GRAPHKIT_INLINE Wide trigamma(Wide x) {
    const Shifted s = shift(x, true);
    const Wide z = s.inverse * s.inverse, ratio = 1.0 / s.p, first = s.first * ratio;
    Wide series = fill_wide(-691.0 / 2730);
    for (const double factor : {5.0 / 66, -1.0 / 30, 1.0 / 42, -1.0 / 30, 1.0 / 6}) series = series * z + factor;
    return s.inverse + 0.5 * z + series * z * s.inverse + first * first - s.second * ratio;
}

// Fills statistics [2 * betas + 1], expectations of log x, of log(1 - x), and the entropy; and the log beta function.
static void beta_moments(const float* row, std::size_t betas, float* statistics, double& log_beta) {
    double entropy = 0;
    log_beta = 0;
    for (std::size_t d = 0; d < betas; d += kWideLanes) {
        const std::size_t count = betas - d < kWideLanes ? betas - d : kWideLanes;
        const Wide a = load_wide(row + d, count), b = load_wide(row + betas + d, count);
        const Shifted at = shift(a, false), bt = shift(b, false), st = shift(a + b, false);
        const Wide log_a = log_wide(at.x), log_b = log_wide(bt.x), log_s = log_wide(st.x);
        const Wide of_sum = digamma(st, log_s);
        const Narrow u = narrow(digamma(at, log_a) - of_sum), v = narrow(digamma(bt, log_b) - of_sum);
        const Wide half_log_2_pi = fill_wide(0.91893853320467274178);
        const Wide found = log_gamma(at, log_a) + log_gamma(bt, log_b) - log_gamma(st, log_s) + half_log_2_pi +
                           log_wide(st.p / (at.p * bt.p));
        log_beta += sum_wide(found, count);
        // With the rounded expectations, whose errors then cancel in divergences from close queries.
        const Wide rounded_u = __builtin_convertvector(u, Wide), rounded_v = __builtin_convertvector(v, Wide);
        entropy += sum_wide(found - (a - 1.0) * rounded_u - (b - 1.0) * rounded_v, count);
        store_narrow(statistics + d, u, count);
        store_narrow(statistics + betas + d, v, count);
    }
    statistics[2 * betas] = static_cast<float>(entropy);
}

// Fills the gradient of a row from those of its statistics and its log beta function.
static void beta_gradients(const float* row, std::size_t betas, const float* statistics, const float* of_statistics,
                           double of_log_beta, float* gradient) {
    const double of_entropy = of_statistics[2 * betas];
    for (std::size_t d = 0; d < betas; d += kWideLanes) {
        const std::size_t count = betas - d < kWideLanes ? betas - d : kWideLanes;
        const auto at = [&](const float* from) { return load_wide(from + d, count); };
        const Wide a = at(row), b = at(row + betas);
        const Wide of_u = at(of_statistics) - of_entropy * (a - 1.0);
        const Wide of_v = at(of_statistics + betas) - of_entropy * (b - 1.0);
        const Wide shared = (of_u + of_v) * trigamma(a + b);
        const Wide of_a = of_log_beta * at(statistics) + of_u * trigamma(a) - shared;
        const Wide of_b = of_log_beta * at(statistics + betas) + of_v * trigamma(b) - shared;
        store_narrow(gradient + d, narrow(of_a), count);
        store_narrow(gradient + betas + d, narrow(of_b), count);
    }
}

}  // namespace graphkit::GRAPHKIT_PATH
