// Rows of a table, copied; those of bfloat16 become float32.

namespace graphkit::GRAPHKIT_PATH {

typedef std::uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef std::uint16_t Halves __attribute__((vector_size(2 * kLanes)));

// Reals of rows that are fetched before their turn: of wide rows two, of narrow ones as many as a load takes.
constexpr std::size_t kGatherAhead = 1024;

GRAPHKIT_INLINE Vec load_any(const float* from) { return load(from); }
GRAPHKIT_INLINE Vec load_any(const float* from, std::size_t count) { return load_part(from, count); }
GRAPHKIT_INLINE Vec load_any(const std::uint16_t* from, std::size_t count = kLanes) {
    Halves halves = {};
    std::memcpy(&halves, from, count * sizeof *from);
    return (Vec)(__builtin_convertvector(halves, Words) << 16);
}

template <class Real>
GRAPHKIT_INLINE void gather_rows_of(const Real* table, std::size_t width, const std::int64_t* ids, std::size_t begin,
                                    std::size_t end, float* rows) {
    const std::size_t ahead = 1 + kGatherAhead / width, whole = width - width % kLanes;
    for (std::size_t u = begin; u < end; ++u) {
        const Real* from = table + static_cast<std::size_t>(ids[u]) * width;
        const Real* later = table + static_cast<std::size_t>(ids[u + ahead < end ? u + ahead : end - 1]) * width;
        float* to = rows + u * width;
        for (std::size_t d = 0; d < whole; d += kLanes) {
            __builtin_prefetch(later + d);
            store(to + d, load_any(from + d));
        }
        if (whole < width) {
            __builtin_prefetch(later + whole);
            store_part(to + whole, load_any(from + whole, width - whole), width - whole);
        }
    }
}

static void gather_rows(const RowGather& in, std::size_t begin, std::size_t end, float* rows) {
    if (in.bfloat16)
        gather_rows_of(static_cast<const std::uint16_t*>(in.table), in.width, in.ids, begin, end, rows);
    else
        gather_rows_of(static_cast<const float*>(in.table), in.width, in.ids, begin, end, rows);
}

}  // namespace graphkit::GRAPHKIT_PATH
