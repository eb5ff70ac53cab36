// Moments of rows of Beta distributions, and their gradients: see graphkit/engine/kernels/beta_moments.py. Parameters
// are from 1e-3 to 1e4.
//
// Each argument is shifted up by eight, where short asymptotic series hold, and the shift is taken back by products of
// the factors x (x + 1) ... (x + 7). Differences of digammas are not subtracted: with s = a + b,
//     psi(s) - psi(a) = sum over i < 8 of b / ((a + i)(s + i)) + psi(s + 8) - psi(a + 8),
// whose last difference is log1p(b / (a + 8)) and terms with the factor b, all small ones positive. Nor are logarithms
// of gammas: with A = a + 8 and so on,
//     log B(a, b) = -(A - 1/2) log1p(b / A) - (B - 1/2) log1p(a / B) + log(S^7.5 p(s) / (p(a) p(b))) + small terms.
//
// Launch: one dimension, grids of any size, blocks of any size up to 512 (1,024 would leave a thread 64 registers, and
// moments would spill); a team of `lanes` threads takes a row at a time (warp_sums.cuh). A thread sums its own Betas in
// order and the team its threads, so that results repeat bit for bit.
//
// Predictions, nothing here was measured on a GPU:
//   registers     moments 120 on sm_90 (nvcc 13.0), 16 of 64 warps resident; gradients 70, 28 of 64. Fewer warps hide
//                 latency, since the series of a, b and a + b of a thread do not wait for each other
//   memory        moments 16 bytes a Beta, gradients 32; each array once
//   FLOP a Beta   float64: moments some 330, with 3 logarithms, a root and 10 divisions; gradients some 220, with 6
//                 divisions. Bound by float64: some 1 ms for a million Betas on cards that have a 64th of their
//                 throughput in float64, 0.05 ms on those that have half. A step evaluates them for its distinct rows,
//                 not for pairs
#include "warp_sums.cuh"

namespace {

constexpr int kShift = 8;

__device__ __forceinline__ double square(double x) { return x * x; }

// psi(x + y) - psi(x), to 1e-10 of it, far below the rounding to float32.
__device__ __forceinline__ double digamma_growth(double x, double y, double log_growth) {
    // The sum of y / ((x + i)(x + y + i)) as one fraction.
    double above = 0, below = 1;
    for (int i = 0; i < kShift; ++i) {
        const double factor = (x + i) * (x + y + i);
        above = above * factor + below;
        below *= factor;
    }
    const double p = 1 / (x + kShift), q = 1 / (x + y + kShift), z = p * p, w = q * q;
    // z^k - w^k is (z - w) times a sum of products.
    const double difference = y * p * q * (p + q);
    const double of_2 = z + w, of_3 = z * of_2 + w * w;
    return y * (above / below) + log_growth + 0.5 * y * p * q + difference * (1.0 / 12 - of_2 / 120 + of_3 / 252);
}

// What Stirling's series adds to log gamma of an argument whose inverse this is.
__device__ __forceinline__ double stirling(double inverse) {
    const double z = inverse * inverse;
    double series = -691.0 / 360360;
    series = series * z + 1.0 / 1188;
    series = series * z - 1.0 / 1680;
    series = series * z + 1.0 / 1260;
    series = series * z - 1.0 / 360;
    return (series * z + 1.0 / 12) * inverse;
}

// x (x + 1) ... (x + 7)
__device__ __forceinline__ double shift_product(double x) {
    double product = x;
    for (int i = 1; i < kShift; ++i) product *= x + i;
    return product;
}

// log B(a, b), where the others are log1p(b / (a + 8)) and log1p(a / (b + 8)).
__device__ __forceinline__ double log_beta_of(double a, double b, double growth_a, double growth_b) {
    const double s = a + b, high_a = a + kShift, high_b = b + kShift, high_s = s + kShift;
    const double factors = square(high_s * square(high_s)) * high_s * sqrt(high_s) * shift_product(s) /
                           (shift_product(a) * shift_product(b));
    const double half_log_2_pi = 0.91893853320467274178;
    return log(factors) - (high_a - 0.5) * growth_a - (high_b - 0.5) * growth_b + (half_log_2_pi - kShift) +
           (stirling(1 / high_a) + stirling(1 / high_b) - stirling(1 / high_s));
}

// psi'(x) = psi'(x + 8) + (p'^2 - p p'') / p^2, with p the product of the factors, to 1e-10 of it.
__device__ __forceinline__ double trigamma(double x) {
    double p = 1, first = 0, second = 0;
    for (int i = 0; i < kShift; ++i) {
        second = second * (x + i) + 2 * first;
        first = first * (x + i) + p;
        p *= x + i;
    }
    const double ratio = 1 / p, inverse = 1 / (x + kShift), z = inverse * inverse;
    const double series = (z / 42 - 1.0 / 30) * z + 1.0 / 6;
    return inverse + 0.5 * z + series * z * inverse + square(first * ratio) - second * ratio;
}

}  // namespace

// Fills statistics [rows, 2 * betas + 1], expectations of log x, of log(1 - x), and the entropy that follows from them
// when they are rounded; and the logarithm of the beta function, summed over a row, from parameters [rows, 2 * betas].
extern "C" __global__ void __launch_bounds__(512)
    beta_moments_f32(const float* parameters, long long rows, long long betas, long long lanes, float* statistics,
                     double* log_beta) {
    const Team team = team_of(lanes);
    for (long long row = team.index; row < rows; row += team.count) {
        const float* of_a = parameters + row * 2 * betas;
        float* of_u = statistics + row * (2 * betas + 1);
        double logarithm = 0, entropy = 0;
        for (long long d = team.lane; d < betas; d += team.lanes) {
            const double a = of_a[d], b = of_a[betas + d];
            const double growth_a = log1p(b / (a + kShift)), growth_b = log1p(a / (b + kShift));
            const float u = static_cast<float>(-digamma_growth(a, b, growth_a));
            const float v = static_cast<float>(-digamma_growth(b, a, growth_b));
            const double found = log_beta_of(a, b, growth_a, growth_b);
            logarithm += found;
            entropy += found - (a - 1) * u - (b - 1) * v;
            of_u[d] = u;
            of_u[betas + d] = v;
        }
        logarithm = team_total(team, logarithm, Sum());
        entropy = team_total(team, entropy, Sum());
        if (team.lane == 0) {
            of_u[2 * betas] = static_cast<float>(entropy);
            log_beta[row] = logarithm;
        }
    }
}

// Fills gradients [rows, 2 * betas] from those of what `beta_moments_f32` filled.
extern "C" __global__ void __launch_bounds__(512)
    beta_moments_gradients_f32(const float* parameters, const float* statistics, const float* of_statistics,
                               const double* of_log_beta, long long rows, long long betas, long long lanes,
                               float* gradients) {
    const Team team = team_of(lanes);
    for (long long row = team.index; row < rows; row += team.count) {
        const long long first = row * 2 * betas, place = row * (2 * betas + 1);
        const double of_log = of_log_beta[row], of_entropy = of_statistics[place + 2 * betas];
        for (long long d = team.lane; d < betas; d += team.lanes) {
            const double a = parameters[first + d], b = parameters[first + betas + d];
            const double of_u = of_statistics[place + d] - of_entropy * (a - 1);
            const double of_v = of_statistics[place + betas + d] - of_entropy * (b - 1);
            const double shared = (of_u + of_v) * trigamma(a + b);
            gradients[first + d] = static_cast<float>(of_log * statistics[place + d] + of_u * trigamma(a) - shared);
            gradients[first + betas + d] =
                static_cast<float>(of_log * statistics[place + betas + d] + of_v * trigamma(b) - shared);
        }
    }
}
