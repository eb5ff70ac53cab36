// Steps of table rows: row, state and gradient are each read once and written once. Random rows come from memory, which
// is what a step waits for: while one row is computed, the lines of a later one are fetched.

namespace graphkit::GRAPHKIT_PATH {

typedef std::uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef std::uint16_t Halves __attribute__((vector_size(2 * kLanes)));

// Reals of rows that are fetched before their turn: of wide rows a few, of narrow ones as many as a load takes.
constexpr std::size_t kRealsAhead = 1200;

// ---- random bits of stochastic rounding

// Mixes 32 bits well (an xorshift-multiply hash), with a second key between the rounds.
template <class T>
GRAPHKIT_INLINE T mix(T x, std::uint32_t key) {
    x = (x ^ (x >> 16)) * 0x7FEB352DU;
    x = ((x ^ (x >> 15)) + key) * 0x846CA68BU;
    return x ^ (x >> 16);
}

// The keys of a row: two numbers made of seed, step and row.
struct RoundingKeys {
    std::uint32_t first = 0, second = 0;

    RoundingKeys() = default;
    RoundingKeys(std::uint64_t seed, std::uint64_t step, std::uint64_t row) {
        const std::uint64_t values[] = {seed, step, row};
        for (const std::uint64_t value : values) {
            first = mix(first ^ static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32));
            second = mix(second + first, static_cast<std::uint32_t>(value));
        }
    }

    // 16 bits for each of the coordinates from d on.
    GRAPHKIT_INLINE Words bits(const RoundingKeys& keys, std::size_t d) {
        Words coordinate = {};
        for (std::size_t i = 0; i < kLanes; ++i) coordinate[i] = static_cast<std::uint32_t>(d + i);
        return mix(coordinate * 0x9E3779B9U ^ keys.first, keys.second) >> 16;
    }
};

// ---- rows of weights

struct FloatRow {
    float* at;

    FloatRow(const RowStep& in, std::size_t row) : at(static_cast<float*>(in.weight) + row * in.width) {}
    void keyed(const RowStep&, std::size_t) {}
    Vec get(std::size_t d) const { return load(at + d); }
    Vec get(std::size_t d, std::size_t count) const { return load_part(at + d, count); }
    void put(std::size_t d, Vec v) const { store(at + d, v); }
    void put(std::size_t d, Vec v, std::size_t count) const { store_part(at + d, v, count); }
};

// Rounds up with the probability that makes the expected value exact: a step far below the spacing of bfloat16 moves
// the weight in the mean. A weight that is not finite keeps its kind.
struct HalfRow {
    std::uint16_t* at;
    RoundingKeys keys;

    HalfRow(const RowStep& in, std::size_t row) : at(static_cast<std::uint16_t*>(in.weight) + row * in.width) {}
    void keyed(const RowStep& in, std::size_t row) {
        keys = RoundingKeys(in.seed, static_cast<std::uint64_t>(in.steps[row]), row);
    }
    Vec get(std::size_t d) const { return get(d, kLanes); }
    Vec get(std::size_t d, std::size_t count) const {
        Halves halves = {};
        std::memcpy(&halves, at + d, count * sizeof *at);
        return (Vec)(__builtin_convertvector(halves, Words) << 16);
    }
    void put(std::size_t d, Vec v) const { put(d, v, kLanes); }
    void put(std::size_t d, Vec v, std::size_t count) const {
        const Words exact = (Words)v;
        const Words rounded = exact + RoundingKeys::bits(keys, d);
        // Of a NaN, only the top bit of the mantissa is sure to survive.
        const Words kept = abs(v) < __builtin_inff() ? rounded : (v == v ? exact : exact | 0x00400000U);
        const Halves halves = __builtin_convertvector(kept >> 16, Halves);
        std::memcpy(at + d, &halves, count * sizeof *at);
    }
};

// ---- rules: made for a row, then applied to its coordinates

struct Sgd {
    float lr;

    Sgd(const RowStep& in, std::size_t, const float*) : lr(static_cast<float>(in.lr)) {}
    GRAPHKIT_INLINE void fetch(const RowStep&, std::size_t, std::size_t) {}
    template <class... Count>
    Vec step(std::size_t, Vec weight, Vec g, Count...) const {
        return fma(fill(-lr), g, weight);
    }
};

struct Adagrad {
    float* sums;
    float lr, eps;

    Adagrad(const RowStep& in, std::size_t row, const float*)
        : sums(in.first + row * in.width), lr(static_cast<float>(in.lr)), eps(static_cast<float>(in.eps)) {}
    GRAPHKIT_INLINE void fetch(const RowStep& in, std::size_t row, std::size_t d) {
        __builtin_prefetch(in.first + row * in.width + d, 0, kSecondCache);
    }
    Vec step(std::size_t d, Vec weight, Vec g) const {
        const Vec sum = fma(g, g, load(sums + d));
        store(sums + d, sum);
        return moved(weight, g, sum);
    }
    Vec step(std::size_t d, Vec weight, Vec g, std::size_t count) const {
        const Vec sum = fma(g, g, load_part(sums + d, count));
        store_part(sums + d, sum, count);
        return moved(weight, g, sum);
    }
    Vec moved(Vec weight, Vec g, Vec sum) const { return weight - lr * g / (sqrt(sum) + eps); }
};

struct RowAdagrad {
    float rate;

    RowAdagrad(const RowStep& in, std::size_t row, const float* gradient) {
        // Twice through the gradient, which stays in the first cache.
        Vec squares = {};
        std::size_t d = 0;
        for (; d + kLanes <= in.width; d += kLanes) squares = fma(load(gradient + d), load(gradient + d), squares);
        if (d < in.width) {
            const Vec g = load_part(gradient + d, in.width - d);
            squares = fma(g, g, squares);
        }
        in.first[row] += sum(squares) / static_cast<float>(in.width);
        rate = static_cast<float>(in.lr) / (__builtin_sqrtf(in.first[row]) + static_cast<float>(in.eps));
    }
    GRAPHKIT_INLINE void fetch(const RowStep& in, std::size_t row, std::size_t d) {
        if (d == 0) __builtin_prefetch(in.first + row, 0, kSecondCache);
    }
    template <class... Count>
    Vec step(std::size_t, Vec weight, Vec g, Count...) const {
        return fma(fill(-rate), g, weight);
    }
};

struct Adam {
    float *means, *squares;
    float of_mean, of_square, kept_square, scale, inverse_root, eps;

    Adam(const RowStep& in, std::size_t row, const float*)
        : means(in.first + row * in.width),
          squares(in.second + row * in.width),
          of_mean(static_cast<float>(1 - in.beta1)),
          of_square(static_cast<float>(1 - in.beta2)),
          kept_square(static_cast<float>(in.beta2)),
          eps(static_cast<float>(in.eps)) {
        const auto count = static_cast<double>(in.steps[row]);
        scale = static_cast<float>(in.lr / (1 - __builtin_pow(in.beta1, count)));
        inverse_root = static_cast<float>(1 / __builtin_sqrt(1 - __builtin_pow(in.beta2, count)));
    }
    GRAPHKIT_INLINE void fetch(const RowStep& in, std::size_t row, std::size_t d) {
        __builtin_prefetch(in.first + row * in.width + d, 0, kSecondCache);
        __builtin_prefetch(in.second + row * in.width + d, 0, kSecondCache);
    }
    Vec step(std::size_t d, Vec weight, Vec g) const {
        const Vec mean = next_mean(load(means + d), g), square = next_square(load(squares + d), g);
        store(means + d, mean);
        store(squares + d, square);
        return moved(weight, mean, square);
    }
    Vec step(std::size_t d, Vec weight, Vec g, std::size_t count) const {
        const Vec mean = next_mean(load_part(means + d, count), g);
        const Vec square = next_square(load_part(squares + d, count), g);
        store_part(means + d, mean, count);
        store_part(squares + d, square, count);
        return moved(weight, mean, square);
    }
    Vec next_mean(Vec mean, Vec g) const { return fma(fill(of_mean), g - mean, mean); }
    Vec next_square(Vec square, Vec g) const { return fma(fill(of_square), g * g, kept_square * square); }
    Vec moved(Vec weight, Vec mean, Vec square) const {
        return weight - scale * mean / fma(sqrt(square), fill(inverse_root), fill(eps));
    }
};

// ---- all rows of a step

template <class Rule, class Row>
GRAPHKIT_INLINE void step_rows_by(const RowStep& in, std::size_t begin, std::size_t end) {
    const std::size_t ahead = 1 + kRealsAhead / in.width;
    const std::size_t whole = in.width - in.width % kLanes, left = in.width % kLanes;
    const auto table_row = [&](std::size_t u) { return in.ids == nullptr ? u : static_cast<std::size_t>(in.ids[u]); };
    const auto gradient_row = [&](std::size_t u) {
        return in.gradients == nullptr ? in.gradient + u * in.width : in.gradients[u];
    };
    for (std::size_t u = begin; u < end; ++u) {
        const std::size_t row = table_row(u), later = table_row(u + ahead < end ? u + ahead : end - 1);
        const float *gradient = gradient_row(u), *next_gradient = gradient_row(u + ahead < end ? u + ahead : end - 1);
        if (in.steps != nullptr) {
            __builtin_prefetch(in.steps + later, 0, kSecondCache);
            ++in.steps[row];
        }
        Row weight(in, row);
        weight.keyed(in, row);
        const Row next(in, later);
        const Rule rule(in, row, gradient);
        for (std::size_t d = 0; d < whole; d += kLanes) {
            __builtin_prefetch(next.at + d, 0, kSecondCache);
            __builtin_prefetch(next_gradient + d, 0, kSecondCache);
            Rule::fetch(in, later, d);
            weight.put(d, rule.step(d, weight.get(d), load(gradient + d)));
        }
        if (left > 0) {
            __builtin_prefetch(next.at + whole, 0, kSecondCache);
            __builtin_prefetch(next_gradient + whole, 0, kSecondCache);
            Rule::fetch(in, later, whole);
            weight.put(whole, rule.step(whole, weight.get(whole, left), load_part(gradient + whole, left), left), left);
        }
    }
}

template <class Rule>
GRAPHKIT_INLINE void step_rows_of(const RowStep& in, std::size_t begin, std::size_t end) {
    if (in.bfloat16)
        step_rows_by<Rule, HalfRow>(in, begin, end);
    else
        step_rows_by<Rule, FloatRow>(in, begin, end);
}

static void step_rows(const RowStep& in, std::size_t begin, std::size_t end) {
    switch (in.rule) {
        case RowRule::sgd:
            return step_rows_of<Sgd>(in, begin, end);
        case RowRule::adagrad:
            return step_rows_of<Adagrad>(in, begin, end);
        case RowRule::row_adagrad:
            return step_rows_of<RowAdagrad>(in, begin, end);
        case RowRule::adam:
            return step_rows_of<Adam>(in, begin, end);
    }
}

static std::size_t first_not_finite(const float* rows, std::size_t width, std::size_t begin, std::size_t end) {
    for (std::size_t u = begin; u < end; ++u) {
        const float* row = rows + u * width;
        // 0 times a value is 0, unless that is not finite; two sums, since one would wait for itself.
        Vec sums[2] = {};
        std::size_t d = 0;
        for (; d + 2 * kLanes <= width; d += 2 * kLanes)
            for (std::size_t i = 0; i < 2; ++i) sums[i] = fma(load(row + d + i * kLanes), Vec{}, sums[i]);
        for (; d + kLanes <= width; d += kLanes) sums[0] = fma(load(row + d), Vec{}, sums[0]);
        if (d < width) sums[1] = fma(load_part(row + d, width - d), Vec{}, sums[1]);
        if (sum(sums[0] + sums[1]) != 0) return u;
    }
    return end;
}

}  // namespace graphkit::GRAPHKIT_PATH
