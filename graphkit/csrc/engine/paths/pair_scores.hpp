// Scores of pairs and their gradients. A pair's score is added up over coordinates in the same order wherever the pair
// stands, and a coordinate's gradient over pairs in the order of the pairs: no result depends on how work is divided.
//
// Queries and rows may have two parts: a real and an imaginary one, or a centre and a half width. Coordinate d of part
// i of a row stands at i * n + d, where n is the number of coordinates.

namespace graphkit::GRAPHKIT_PATH {

struct Dot {
    static constexpr std::size_t kQueryParts = 1, kRowParts = 1;
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) { return fma(q[0], e[0], sum); }
    GRAPHKIT_INLINE float finish(float sum) { return sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        dq[0] = fma(weight, e[0], dq[0]);
        de[0] = fma(weight, q[0], de[0]);
    }
};

struct L1 {
    static constexpr std::size_t kQueryParts = 1, kRowParts = 1;
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) {
        // Not a plain sum: processors of today add on two units and multiply on others, and the difference takes one.
        return fma(abs(e[0] - q[0]), fill(1.0f), sum);
    }
    GRAPHKIT_INLINE float finish(float sum) { return sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        const Vec of_row = times_sign(weight, e[0] - q[0]);
        de[0] += of_row;
        dq[0] = fma(of_row, fill(-1.0f), dq[0]);
    }
};

struct L2 {
    static constexpr std::size_t kQueryParts = 1, kRowParts = 1;
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
    GRAPHKIT_INLINE Vec add(Vec sum, const Vec* q, const Vec* e, float) {
        const Vec real = e[0] - q[0], imaginary = e[1] - q[1];
        return sum + twice_sqrt(fma(real, real, imaginary * imaginary));
    }
    GRAPHKIT_INLINE float finish(float sum) { return 0.5f * sum; }
    GRAPHKIT_INLINE void gradients(Vec weight, const Vec* q, const Vec* e, float, Vec* dq, Vec* de) {
        const Vec real = e[0] - q[0], imaginary = e[1] - q[1];
        const Vec scaled = weight * inverse_sqrt(fma(real, real, imaginary * imaginary));
        const Vec of_real = scaled * real, of_imaginary = scaled * imaginary;
        de[0] += of_real;
        de[1] += of_imaginary;
        dq[0] -= of_real;
        dq[1] -= of_imaginary;
    }
};

struct Box {
    static constexpr std::size_t kQueryParts = 2, kRowParts = 1;
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
        const Vec of_row = times_sign(beyond ? weight : least, difference);
        de[0] += of_row;
        dq[0] = fma(of_row, fill(-1.0f), dq[0]);
        // Beyond the box the half width takes off all of its length, and adds it by `inside`.
        dq[1] += keep(beyond, times_sign(least, q[1]) - weight);
    }
};

struct Centred {
    static constexpr std::size_t kQueryParts = 2, kRowParts = 1;
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

// Vectors of a row whose gradients stay in registers.
template <class Kind>
constexpr std::size_t kOwnVectors = Kind::kQueryParts == 1 ? 4
                                    : Kind::kRowParts == 1 ? 2
                                                           : 3;

template <std::size_t Parts>
GRAPHKIT_INLINE void store_parts(float* to, std::size_t stride, const Vec* from) {
    for (std::size_t i = 0; i < Parts; ++i) store(to + i * stride, from[i]);
}

template <std::size_t Parts>
GRAPHKIT_INLINE void store_parts(float* to, std::size_t stride, std::size_t count, const Vec* from) {
    for (std::size_t i = 0; i < Parts; ++i) store_part(to + i * stride, from[i], count);
}

template <std::size_t Parts>
GRAPHKIT_INLINE void get(const float* from, std::size_t stride, std::size_t count, Vec* to) {
    if (count == kLanes)
        load_parts<Parts>(from, stride, to);
    else
        load_parts<Parts>(from, stride, count, to);
}

template <std::size_t Parts>
GRAPHKIT_INLINE void put(float* to, std::size_t stride, std::size_t count, const Vec* from) {
    if (count == kLanes)
        store_parts<Parts>(to, stride, from);
    else
        store_parts<Parts>(to, stride, count, from);
}

GRAPHKIT_INLINE void clear(float* from, std::size_t count, std::size_t stride, std::size_t parts, std::size_t n,
                           std::size_t begin, std::size_t end) {
    for (std::size_t i = 0; i < count; ++i)
        for (std::size_t part = 0; part < parts; ++part)
            std::memset(from + i * stride + part * n + begin, 0, (end - begin) * sizeof(float));
}

// The same coordinates of all queries, side by side and at the start of cache lines, with their gradients. Among rows,
// those of a second part begin anywhere: each vector would lie across two lines, and two threads would write to one.
template <class Kind, std::size_t Vectors>
struct alignas(64) QuerySlab {
    Vec q[Vectors][Kind::kQueryParts], dq[Vectors][Kind::kQueryParts];
};

// Coordinates d to d + Vectors * kLanes, or `left` coordinates of a single vector where `left` is not 0.
template <class Kind, std::size_t Vectors>
GRAPHKIT_INLINE void own_slab_gradients(const PairInput& in, const OwnPairs& pairs, const float* weights, std::size_t d,
                                        std::size_t left, void* scratch, float* of_queries, float* of_rows) {
    constexpr std::size_t kQ = Kind::kQueryParts, kE = Kind::kRowParts;
    constexpr std::int64_t kAhead = 8;
    constexpr std::size_t kRowsAhead = 8;
    const std::size_t n = in.row_width / kE, count = left == 0 ? kLanes : left;
    using Slab = QuerySlab<Kind, Vectors>;
    static_assert(sizeof(Slab) <= kOwnScratch);
    Slab* const slabs = static_cast<Slab*>(scratch);
    for (std::size_t b = 0; b < in.num_queries; ++b)
        for (std::size_t v = 0; v < Vectors; ++v) {
            get<kQ>(in.queries + b * in.query_width + d + v * kLanes, n, count, slabs[b].q[v]);
            for (std::size_t part = 0; part < kQ; ++part) slabs[b].dq[v][part] = Vec{};
        }
    const std::int64_t num_pairs = pairs.offsets[in.num_rows];
    for (std::size_t u = 0; u < in.num_rows; ++u) {
        if (u + kRowsAhead < in.num_rows) {
            const std::size_t next = (u + kRowsAhead) * in.row_width + d;
            // A second part begins in the midst of a cache line, so that its last vector has another line.
            for (std::size_t part = 0; part < kE; ++part)
                for (std::size_t v = 0; v < Vectors + part; ++v) {
                    const std::size_t place = next + part * n + (v < Vectors ? v * kLanes : Vectors * kLanes - 1);
                    __builtin_prefetch(in.rows + place);
                    __builtin_prefetch(of_rows + place, 1);
                }
        }
        Vec e[Vectors][kE], de[Vectors][kE] = {};
        for (std::size_t v = 0; v < Vectors; ++v) get<kE>(in.rows + u * in.row_width + d + v * kLanes, n, count, e[v]);
        for (std::int64_t i = pairs.offsets[u]; i < pairs.offsets[u + 1]; ++i) {
            const std::uint32_t pair = pairs.order[i];
            Slab& slab = slabs[pair / pairs.per_query];
            if (i + kAhead < num_pairs) {
                const std::uint32_t next = pairs.order[i + kAhead];
                const char* ahead = reinterpret_cast<const char*>(slabs + next / pairs.per_query);
                __builtin_prefetch(weights + next);
                for (std::size_t byte = 0; byte < sizeof(Slab); byte += 64) __builtin_prefetch(ahead + byte, 1);
            }
            const Vec weight = fill(weights[pair]);
            for (std::size_t v = 0; v < Vectors; ++v)
                Kind::gradients(weight, slab.q[v], e[v], in.inside, slab.dq[v], de[v]);
        }
        for (std::size_t v = 0; v < Vectors; ++v) put<kE>(of_rows + u * in.row_width + d + v * kLanes, n, count, de[v]);
    }
    for (std::size_t b = 0; b < in.num_queries; ++b)
        for (std::size_t v = 0; v < Vectors; ++v)
            put<kQ>(of_queries + b * in.query_width + d + v * kLanes, n, count, slabs[b].dq[v]);
}

// Where queries have a single candidate each, their gradients are written once, and need no slabs.
template <class Kind>
GRAPHKIT_INLINE void single_gradients(const PairInput& in, const OwnPairs& pairs, const float* weights,
                                      std::size_t begin, std::size_t end, float* of_queries, float* of_rows) {
    constexpr std::size_t kQ = Kind::kQueryParts, kE = Kind::kRowParts;
    const std::size_t n = in.row_width / kE;
    for (std::size_t u = 0; u < in.num_rows; ++u)
        for (std::size_t d = begin; d < end; d += kLanes) {
            const std::size_t count = end - d < kLanes ? end - d : kLanes;
            Vec e[kE], de[kE] = {};
            get<kE>(in.rows + u * in.row_width + d, n, count, e);
            for (std::int64_t i = pairs.offsets[u]; i < pairs.offsets[u + 1]; ++i) {
                const std::size_t b = pairs.order[i] * in.query_width + d;
                Vec q[kQ], dq[kQ] = {};
                get<kQ>(in.queries + b, n, count, q);
                Kind::gradients(fill(weights[pairs.order[i]]), q, e, in.inside, dq, de);
                put<kQ>(of_queries + b, n, count, dq);
            }
            put<kE>(of_rows + u * in.row_width + d, n, count, de);
        }
}

static void own_gradients(const PairInput& in, const OwnPairs& pairs, const float* weights, std::size_t begin,
                          std::size_t end, void* scratch, float* of_queries, float* of_rows) {
    with_kind(in.kind, [&]<class Kind>(Kind) {
        if (pairs.per_query == 1) return single_gradients<Kind>(in, pairs, weights, begin, end, of_queries, of_rows);
        constexpr std::size_t kSlab = kOwnVectors<Kind> * kLanes;
        std::size_t d = begin;
        for (; d + kSlab <= end; d += kSlab)
            own_slab_gradients<Kind, kOwnVectors<Kind>>(in, pairs, weights, d, 0, scratch, of_queries, of_rows);
        for (; d + kLanes <= end; d += kLanes)
            own_slab_gradients<Kind, 1>(in, pairs, weights, d, 0, scratch, of_queries, of_rows);
        if (d < end) own_slab_gradients<Kind, 1>(in, pairs, weights, d, end - d, scratch, of_queries, of_rows);
    });
}

// Rows whose coordinates and gradients stay in the first cache while all queries pass by.
constexpr std::size_t kCachedRows = 64;

// Coordinates d to d + count of the rows `first` to `first + rows`, for all queries; gradients of queries are added to
// those of the rows before.
template <class Kind>
GRAPHKIT_INLINE void shared_block_gradients(const PairInput& in, const float* weights, std::size_t d, std::size_t count,
                                            std::size_t first, std::size_t rows, float* of_queries, float* of_rows) {
    constexpr std::size_t kQ = Kind::kQueryParts, kE = Kind::kRowParts;
    constexpr std::size_t kTile = kLanes == 16 && kQ == 1 ? 8 : 4;  // queries whose sums stay in registers
    const std::size_t n = in.row_width / kE;
    Vec e[kCachedRows][kE], de[kCachedRows][kE] = {};
    for (std::size_t u = 0; u < rows; ++u) get<kE>(in.rows + (first + u) * in.row_width + d, n, count, e[u]);
    const auto visit = [&]<std::size_t Q>(std::size_t b) {
        Vec q[Q][kQ], dq[Q][kQ] = {};
        const float* w[Q];
        for (std::size_t i = 0; i < Q; ++i) {
            w[i] = weights + (b + i) * in.num_rows + first;
            get<kQ>(in.queries + (b + i) * in.query_width + d, n, count, q[i]);
            if (first > 0) get<kQ>(of_queries + (b + i) * in.query_width + d, n, count, dq[i]);
        }
        for (std::size_t u = 0; u < rows; ++u)
            for (std::size_t i = 0; i < Q; ++i) Kind::gradients(fill(w[i][u]), q[i], e[u], in.inside, dq[i], de[u]);
        for (std::size_t i = 0; i < Q; ++i) put<kQ>(of_queries + (b + i) * in.query_width + d, n, count, dq[i]);
    };
    std::size_t b = 0;
    for (; b + kTile <= in.num_queries; b += kTile) visit.template operator()<kTile>(b);
    for (; b < in.num_queries; ++b) visit.template operator()<1>(b);
    for (std::size_t u = 0; u < rows; ++u) put<kE>(of_rows + (first + u) * in.row_width + d, n, count, de[u]);
}

static void shared_gradients(const PairInput& in, const float* weights, std::size_t begin, std::size_t end,
                             float* of_queries, float* of_rows) {
    with_kind(in.kind, [&]<class Kind>(Kind) {
        if (in.num_rows == 0)
            clear(of_queries, in.num_queries, in.query_width, Kind::kQueryParts, in.row_width / Kind::kRowParts, begin,
                  end);
        for (std::size_t d = begin; d < end; d += kLanes) {
            const std::size_t count = end - d < kLanes ? end - d : kLanes;
            for (std::size_t first = 0; first < in.num_rows; first += kCachedRows) {
                const std::size_t rows = in.num_rows - first < kCachedRows ? in.num_rows - first : kCachedRows;
                shared_block_gradients<Kind>(in, weights, d, count, first, rows, of_queries, of_rows);
            }
        }
    });
}

}  // namespace graphkit::GRAPHKIT_PATH
