// Scores of pairs. A pair's score is added up over coordinates in the same order wherever the pair stands: no result
// depends on how work is divided.
//
// Queries and rows may have two parts: a real and an imaginary one, or a centre and a half width. Coordinate d of part
// i of a row stands at i * n + d, where n is the number of coordinates.

namespace graphkit::GRAPHKIT_PATH {

struct Dot {
    static constexpr std::size_t kQueryParts = 1, kRowParts = 1;
    static constexpr bool kTwice = false;
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) { return fma(q[0], e[0], sum); }
    GRAPHKIT_INLINE float finish(float sum) { return sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        dq[0] = fma(weight, e[0], dq[0]);
        de[0] = fma(weight, q[0], de[0]);
    }
};

struct L1 {
    static constexpr std::size_t kQueryParts = 1, kRowParts = 1;
    static constexpr bool kTwice = false;
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) {
        // Not a plain sum: processors of today add on two units and multiply on others, and the difference takes one.
        return fma(abs(e[0] - q[0]), fill(1.0f), sum);
    }
    GRAPHKIT_INLINE float finish(float sum) { return sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        add_by_sign(weight, e[0] - q[0], de[0], dq[0]);
    }
};

struct L2 {
    static constexpr std::size_t kQueryParts = 1, kRowParts = 1;
    static constexpr bool kTwice = false;
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) {
        const Vec difference = e[0] - q[0];
        return fma(difference, difference, sum);
    }
    GRAPHKIT_INLINE float finish(float sum) { return __builtin_sqrtf(sum); }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        const Vec of_row = weight * (e[0] - q[0]);
        de[0] += of_row;
        dq[0] = fma(of_row, fill(-1.0f), dq[0]);
    }
};

struct Rotate {
    static constexpr std::size_t kQueryParts = 2, kRowParts = 2;
    static constexpr bool kTwice = true;  // gradients, until they are halved at the end
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) {
        const Vec real = e[0] - q[0], imaginary = e[1] - q[1];
        return add_twice_sqrt(sum, fma(real, real, imaginary * imaginary));
    }
    GRAPHKIT_INLINE float finish(float sum) { return 0.5f * sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        const Vec real = e[0] - q[0], imaginary = e[1] - q[1];
        const Vec scaled = weight * twice_inverse_sqrt(fma(real, real, imaginary * imaginary));
        const Vec of_real = scaled * real, of_imaginary = scaled * imaginary;
        de[0] += of_real;
        de[1] += of_imaginary;
        dq[0] -= of_real;
        dq[1] -= of_imaginary;
    }
};

struct Box {
    static constexpr std::size_t kQueryParts = 2, kRowParts = 1;
    static constexpr bool kTwice = false;
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float inside) {
        const Vec distance = abs(e[0] - q[0]);
        // A half width that is not a number is beyond too: the score is none either, as the twin's.
        const Bits is_within = distance <= q[1];
        const Vec beyond = keep(~is_within, distance - q[1]);
        const Vec within = abs(is_within ? distance : q[1]);
        return fma(within, fill(inside), sum + beyond);
    }
    GRAPHKIT_INLINE float finish(float sum) { return sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float inside, Vec* dq, Vec* de) {
        const Vec difference = e[0] - q[0], least = inside * weight;
        const Bits beyond = abs(difference) > q[1];
        add_by_sign(beyond ? weight : least, difference, de[0], dq[0]);
        // Beyond the box the half width takes off all of its length, and adds it by `inside`.
        dq[1] += keep(beyond, times_sign(least, q[1]) - weight);
    }
};

struct Centred {
    static constexpr std::size_t kQueryParts = 2, kRowParts = 1;
    static constexpr bool kTwice = false;
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) { return fma(q[0], e[0] - q[1], sum); }
    GRAPHKIT_INLINE float finish(float sum) { return sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        const Vec of_row = weight * q[0];
        de[0] += of_row;
        dq[0] = fma(weight, e[0] - q[1], dq[0]);
        dq[1] -= of_row;
    }
};

template <class F>
GRAPHKIT_INLINE void with_kind(PairKind kind, F&& run) {
    switch (kind) {
        case PairKind::dot:
            return run(Dot{});
        case PairKind::l1:
            return run(L1{});
        case PairKind::l2:
            return run(L2{});
        case PairKind::rotate:
            return run(Rotate{});
        case PairKind::box:
            return run(Box{});
        case PairKind::centred:
            return run(Centred{});
    }
}

template <std::size_t Parts>
GRAPHKIT_INLINE void load_parts(const float* from, std::size_t stride, Vec* to) {
    for (std::size_t i = 0; i < Parts; ++i) to[i] = load(from + i * stride);
}

template <std::size_t Parts>
GRAPHKIT_INLINE void load_parts(const float* from, std::size_t stride, std::size_t count, Vec* to) {
    for (std::size_t i = 0; i < Parts; ++i) to[i] = load_part(from + i * stride, count);
}

// Scores of Q queries with E rows: out[i][j].
template <class Kind, std::size_t Q, std::size_t E>
GRAPHKIT_INLINE void score_tile(const float* const* queries, const float* const* rows, std::size_t n, float inside,
                                float (&out)[Q][E]) {
    Vec sums[Q][E] = {};
    std::size_t d = 0;
    for (; d + kLanes <= n; d += kLanes) {
        Vec e[E][Kind::kRowParts];
        for (std::size_t j = 0; j < E; ++j) load_parts<Kind::kRowParts>(rows[j] + d, n, e[j]);
        for (std::size_t i = 0; i < Q; ++i) {
            Vec q[Kind::kQueryParts];
            load_parts<Kind::kQueryParts>(queries[i] + d, n, q);
            for (std::size_t j = 0; j < E; ++j) sums[i][j] = Kind::add(sums[i][j], q, e[j], inside);
        }
    }
    if (const std::size_t left = n - d; left > 0) {
        // Coordinates beyond the last are 0 on both sides and add nothing.
        for (std::size_t i = 0; i < Q; ++i) {
            Vec q[Kind::kQueryParts];
            load_parts<Kind::kQueryParts>(queries[i] + d, n, left, q);
            for (std::size_t j = 0; j < E; ++j) {
                Vec e[Kind::kRowParts];
                load_parts<Kind::kRowParts>(rows[j] + d, n, left, e);
                sums[i][j] = Kind::add(sums[i][j], q, e, inside);
            }
        }
    }
    sum_each<Q * E>(&sums[0][0], &out[0][0]);
    for (std::size_t i = 0; i < Q; ++i)
        for (std::size_t j = 0; j < E; ++j) out[i][j] = Kind::finish(out[i][j]);
}

// Tiles whose sums and rows stay in registers.
template <class Kind>
constexpr std::size_t kTileQueries = kLanes == 16 ? 4 : 2;
template <class Kind>
constexpr std::size_t kTileRows = kLanes == 16 || Kind::kRowParts == 1 ? 4 : 2;

// Queries that one row is compared with at once.
constexpr std::size_t kOwnTile = 8;

static void own_scores(const PairInput& in, const OwnPairs& pairs, std::size_t begin, std::size_t end, float* scores) {
    with_kind(in.kind, [&]<class Kind>(Kind) {
        const std::size_t n = in.row_width / Kind::kRowParts;
        for (std::size_t u = begin; u < end; ++u) {
            const float* row = in.rows + u * in.row_width;
            const std::int64_t last = pairs.offsets[u + 1];
            std::int64_t i = pairs.offsets[u];
            const auto query = [&](std::uint32_t pair) { return in.queries + pair / pairs.per_query * in.query_width; };
            for (; i + static_cast<std::int64_t>(kOwnTile) <= last; i += kOwnTile) {
                const float* some[kOwnTile];
                for (std::size_t k = 0; k < kOwnTile; ++k) some[k] = query(pairs.order[i + k]);
                float found[kOwnTile][1];
                score_tile<Kind, kOwnTile, 1>(some, &row, n, in.inside, found);
                for (std::size_t k = 0; k < kOwnTile; ++k) scores[pairs.order[i + k]] = found[k][0];
            }
            for (; i < last; ++i) {
                const float* one = query(pairs.order[i]);
                float found[1][1];
                score_tile<Kind, 1, 1>(&one, &row, n, in.inside, found);
                scores[pairs.order[i]] = found[0][0];
            }
        }
    });
}

// Calls visit(scores of the tile, first query, first row) for all queries and the rows `begin` to `end`. At the edges
// the last query or row is scored again, which fills tiles; visitors get how many of each are meant.
template <class Kind, class Visitor>
GRAPHKIT_INLINE void for_each_tile(const PairInput& in, std::size_t begin, std::size_t end, Visitor&& visit) {
    constexpr std::size_t Q = kTileQueries<Kind>, E = kTileRows<Kind>;
    const std::size_t n = in.row_width / Kind::kRowParts;
    for (std::size_t u = begin; u < end; u += E) {
        const std::size_t rows_here = end - u < E ? end - u : E;
        const float* rows[E];
        for (std::size_t j = 0; j < E; ++j)
            rows[j] = in.rows + (u + (j < rows_here ? j : rows_here - 1)) * in.row_width;
        for (std::size_t b = 0; b < in.num_queries; b += Q) {
            const std::size_t queries_here = in.num_queries - b < Q ? in.num_queries - b : Q;
            const float* queries[Q];
            for (std::size_t i = 0; i < Q; ++i)
                queries[i] = in.queries + (b + (i < queries_here ? i : queries_here - 1)) * in.query_width;
            float found[Q][E];
            score_tile<Kind, Q, E>(queries, rows, n, in.inside, found);
            visit(found, b, queries_here, u, rows_here);
        }
    }
}

static void shared_scores(const PairInput& in, std::size_t begin, std::size_t end, float* scores) {
    with_kind(in.kind, [&]<class Kind>(Kind) {
        for_each_tile<Kind>(
            in, begin, end,
            [&](const auto& found, std::size_t b, std::size_t queries, std::size_t u, std::size_t rows) {
                for (std::size_t i = 0; i < queries; ++i)
                    for (std::size_t j = 0; j < rows; ++j) scores[(b + i) * in.num_rows + u + j] = found[i][j];
            });
    });
}

GRAPHKIT_INLINE const float* paired_row(const PairInput& in, std::size_t b) {
    return in.rows + (in.paired_rows == nullptr ? b : static_cast<std::size_t>(in.paired_rows[b])) * in.row_width;
}

static void paired_scores(const PairInput& in, float* scores) {
    with_kind(in.kind, [&]<class Kind>(Kind) {
        for (std::size_t b = 0; b < in.num_queries; ++b) {
            const float *query = in.queries + b * in.query_width, *row = paired_row(in, b);
            float found[1][1];
            score_tile<Kind, 1, 1>(&query, &row, in.row_width / Kind::kRowParts, in.inside, found);
            scores[b] = found[0][0];
        }
    });
}

}  // namespace graphkit::GRAPHKIT_PATH
