// Gradients of the scores of pairs. A coordinate's gradient is added up over pairs in the order of the pairs: no result
// depends on how work is divided. Kinds, and the parts of queries and rows, are those of pair_scores.hpp.

namespace graphkit::GRAPHKIT_PATH {

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

// Stores gradients that are added up.
template <class Kind, std::size_t Parts>
GRAPHKIT_INLINE void put_gradients(float* to, std::size_t stride, std::size_t count, const Vec* from) {
    Vec whole[Parts];
    for (std::size_t i = 0; i < Parts; ++i) whole[i] = Kind::kTwice ? 0.5f * from[i] : from[i];
    put<Parts>(to, stride, count, whole);
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
        for (std::size_t v = 0; v < Vectors; ++v)
            put_gradients<Kind, kE>(of_rows + u * in.row_width + d + v * kLanes, n, count, de[v]);
    }
    for (std::size_t b = 0; b < in.num_queries; ++b)
        for (std::size_t v = 0; v < Vectors; ++v)
            put_gradients<Kind, kQ>(of_queries + b * in.query_width + d + v * kLanes, n, count, slabs[b].dq[v]);
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
                put_gradients<Kind, kQ>(of_queries + b, n, count, dq);
            }
            put_gradients<Kind, kE>(of_rows + u * in.row_width + d, n, count, de);
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

// Rows whose coordinates and gradients stay in the first cache, with half of it to spare, while all queries pass by.
template <class Kind>
constexpr std::size_t kCachedRows = (16 << 10) / (2 * Kind::kRowParts * sizeof(Vec));

// Coordinates d to d + count of the rows `first` to `first + rows`, for all queries; gradients of queries are added to
// those of the rows before.
template <class Kind>
GRAPHKIT_INLINE void shared_block_gradients(const PairInput& in, const float* weights, std::size_t d, std::size_t count,
                                            std::size_t first, std::size_t rows, float* of_queries, float* of_rows) {
    constexpr std::size_t kQ = Kind::kQueryParts, kE = Kind::kRowParts;
    constexpr std::size_t kTile = kLanes == 16 && kQ == 1 ? 8 : 4;  // queries whose sums stay in registers
    const std::size_t n = in.row_width / kE;
    const bool last = first + rows == in.num_rows;
    Vec e[kCachedRows<Kind>][kE], de[kCachedRows<Kind>][kE] = {};
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
        for (std::size_t i = 0; i < Q; ++i) {
            float* to = of_queries + (b + i) * in.query_width + d;
            if (last)
                put_gradients<Kind, kQ>(to, n, count, dq[i]);
            else
                put<kQ>(to, n, count, dq[i]);
        }
    };
    std::size_t b = 0;
    for (; b + kTile <= in.num_queries; b += kTile) visit.template operator()<kTile>(b);
    for (; b < in.num_queries; ++b) visit.template operator()<1>(b);
    for (std::size_t u = 0; u < rows; ++u)
        put_gradients<Kind, kE>(of_rows + (first + u) * in.row_width + d, n, count, de[u]);
}

static void shared_gradients(const PairInput& in, const float* weights, std::size_t begin, std::size_t end,
                             float* of_queries, float* of_rows) {
    with_kind(in.kind, [&]<class Kind>(Kind) {
        if (in.num_rows == 0)
            clear(of_queries, in.num_queries, in.query_width, Kind::kQueryParts, in.row_width / Kind::kRowParts, begin,
                  end);
        for (std::size_t d = begin; d < end; d += kLanes) {
            const std::size_t count = end - d < kLanes ? end - d : kLanes;
            constexpr std::size_t kStep = kCachedRows<Kind>;
            for (std::size_t first = 0; first < in.num_rows; first += kStep) {
                const std::size_t rows = in.num_rows - first < kStep ? in.num_rows - first : kStep;
                shared_block_gradients<Kind>(in, weights, d, count, first, rows, of_queries, of_rows);
            }
        }
    });
}

static void paired_gradients(const PairInput& in, const float* weights, std::size_t begin, std::size_t end,
                             float* of_queries, float* of_rows) {
    with_kind(in.kind, [&]<class Kind>(Kind) {
        constexpr std::size_t kQ = Kind::kQueryParts, kE = Kind::kRowParts;
        const std::size_t n = in.row_width / kE;
        for (std::size_t b = 0; b < in.num_queries; ++b) {
            // As that of a single pair is halved, so the weight is.
            const Vec weight = fill(Kind::kTwice ? 0.5f * weights[b] : weights[b]);
            for (std::size_t d = begin; d < end; d += kLanes) {
                const std::size_t count = end - d < kLanes ? end - d : kLanes;
                float* of_query = of_queries + b * in.query_width + d;
                Vec q[kQ], dq[kQ], e[kE], de[kE] = {};
                get<kQ>(in.queries + b * in.query_width + d, n, count, q);
                get<kE>(paired_row(in, b) + d, n, count, e);
                get<kQ>(of_query, n, count, dq);
                Kind::gradients(weight, q, e, in.inside, dq, de);
                put<kQ>(of_query, n, count, dq);
                put<kE>(of_rows + b * in.row_width + d, n, count, de);
            }
        }
    });
}

}  // namespace graphkit::GRAPHKIT_PATH
