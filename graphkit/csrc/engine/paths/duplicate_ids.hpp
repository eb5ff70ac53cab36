// Gradients of one row that come from several places, added up.

namespace graphkit::GRAPHKIT_PATH {

// Rows that are fetched before their turn.
constexpr std::int64_t kSumAhead = 4;

static void sum_groups(const RowGroups& in, std::size_t begin, std::size_t end, float* sums) {
    const std::size_t whole = in.width - in.width % kLanes, left = in.width % kLanes;
    const std::int64_t last = in.offsets[end];
    for (std::size_t u = begin; u < end; ++u) {
        float* to = sums + u * in.width;
        for (std::int64_t i = in.offsets[u]; i < in.offsets[u + 1]; ++i) {
            const float* from = in.gradients + in.order[i] * in.width;
            const float* ahead = in.gradients + in.order[i + kSumAhead < last ? i + kSumAhead : i] * in.width;
            const bool first = i == in.offsets[u];
            for (std::size_t d = 0; d < whole; d += kLanes) {
                __builtin_prefetch(ahead + d, 0, kSecondCache);
                store(to + d, first ? load(from + d) : load(to + d) + load(from + d));
            }
            if (left > 0) {
                const Vec part = load_part(from + whole, left);
                store_part(to + whole, first ? part : load_part(to + whole, left) + part, left);
            }
        }
    }
}

}  // namespace graphkit::GRAPHKIT_PATH
