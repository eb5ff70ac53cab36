// Counts of candidates that score above, and level with, answers. Scores of pairs are counted tile by tile, while they
// are in the cache.

namespace graphkit::GRAPHKIT_PATH {

// Answers of a query up to which each is compared with all scores; more are searched, score by score.
constexpr std::size_t kFewAnswers = 64;

// Scores that are counted together: they stay in the first cache while answer after answer is compared with them.
constexpr std::size_t kCountedAtOnce = 1024;

// Scores of known entities that are taken off together.
constexpr std::size_t kKnownAtOnce = 64;

// Queries and rows of a block of pairs: the queries stay in the first cache and the rows in the second.
constexpr std::size_t kBlockQueries = 8, kBlockRows = 256;

GRAPHKIT_INLINE bool any_nan(const float* scores, std::size_t count) {
    Bits found = {};
    std::size_t d = 0;
    for (; d + kLanes <= count; d += kLanes) {
        const Vec some = load(scores + d);
        found |= some != some;
    }
    bool nan = any(found);
    for (; d < count; ++d) nan |= scores[d] != scores[d];
    return nan;
}

// Adds `sign` for each score above, and each level with, each answer.
GRAPHKIT_INLINE void compare_all(const float* scores, std::size_t count, std::int64_t sign, const Answers& answers) {
    for (std::size_t j = 0; j < answers.count; ++j) {
        const float own = answers.scores[j];
        const Vec owns = fill(own);
        Bits above = {}, level = {};
        std::size_t d = 0;
        for (; d + kLanes <= count; d += kLanes) {
            const Vec some = load(scores + d);
            above -= some > owns;
            level -= some == owns;
        }
        std::int64_t more = total(above), same = total(level);
        for (; d < count; ++d) {
            more += scores[d] > own;
            same += scores[d] == own;
        }
        answers.above[j] += sign * more;
        answers.level[j] += sign * same;
    }
}

// Adds `sign` to the bucket of each score: 2 i where it lies between answers i - 1 and i, 2 i + 1 where it is level
// with answer i, the first of its equals.
GRAPHKIT_INLINE void search_all(const float* scores, std::size_t count, std::int64_t sign, const Answers& answers) {
    const auto last = static_cast<std::int32_t>(answers.count - 1);
    const Vec lowest = fill(answers.scores[0]);
    for (std::size_t d = 0; d < count; d += kLanes) {
        const std::size_t lanes = count - d < kLanes ? count - d : kLanes;
        const Vec some = lanes == kLanes ? load(scores + d) : load_part(scores + d, lanes);
        if (!any(some >= lowest)) continue;
        Bits place = {};
        for (std::size_t left = answers.count; left > 1; left -= left / 2) {
            const auto half = static_cast<std::int32_t>(left / 2);
            place += (gather(answers.scores, place + (half - 1)) < some) & half;
        }
        place -= gather(answers.scores, place) < some;
        const Bits within = place > last ? Bits{} + last : place;
        const Bits bucket = 2 * place - (gather(answers.scores, within) == some);
        for (std::size_t lane = 0; lane < lanes; ++lane) answers.buckets[bucket[lane]] += sign;
    }
}

GRAPHKIT_INLINE void count_some(const float* scores, std::size_t count, std::int64_t sign, const Answers& answers) {
    if (answers.count > kFewAnswers)
        search_all(scores, count, sign, answers);
    else
        compare_all(scores, count, sign, answers);
}

// Counts the scores of entities `first` to `first + count` but for known ones: what those add is taken off again.
// Returns whether a score is not a number.
GRAPHKIT_INLINE bool count_unknown(const float* scores, std::size_t count, std::int64_t first, const Answers& answers) {
    bool nan = false;
    for (std::size_t d = 0; d < count; d += kCountedAtOnce) {
        const std::size_t some = count - d < kCountedAtOnce ? count - d : kCountedAtOnce;
        count_some(scores + d, some, 1, answers);
        nan |= any_nan(scores + d, some);
    }
    std::size_t next = 0;
    for (std::size_t left = answers.num_known; left > 0;) {
        const std::size_t half = left / 2;
        const bool before = answers.known[next + half] < first;
        next = before ? next + half + 1 : next;
        left = before ? left - half - 1 : half;
    }
    const std::int64_t end = first + static_cast<std::int64_t>(count);
    while (next < answers.num_known && answers.known[next] < end) {
        float taken[kKnownAtOnce];
        std::size_t size = 0;
        for (; size < kKnownAtOnce && next < answers.num_known && answers.known[next] < end; ++next)
            if (next == 0 || answers.known[next] != answers.known[next - 1])  // an entity counts once
                taken[size++] = scores[answers.known[next] - first];
        count_some(taken, size, -1, answers);
    }
    return nan;
}

static void count_scores(const float* scores, std::size_t width, std::int64_t first, const Answers* answers,
                         std::size_t begin, std::size_t end, bool* wrong) {
    for (std::size_t b = begin; b < end; ++b) wrong[b] = count_unknown(scores + b * width, width, first, answers[b]);
}

// Distances are not given up half way, although partial sums only grow: of TransE trained on CoDEx-S (400 reals, MRR
// 0.18), one tile in 16,000 is past the scores of its answers after seven eighths of the coordinates.
static void count_pairs(const PairInput& pairs, float offset, std::int64_t first, const Answers* answers,
                        std::size_t begin, std::size_t end, bool* wrong) {
    with_kind(pairs.kind, [&]<class Kind>(Kind) {
        float scores[kBlockQueries][kBlockRows];
        for (std::size_t b = begin; b < end; ++b) wrong[b] = false;
        for (std::size_t u = 0; u < pairs.num_rows; u += kBlockRows) {
            const std::size_t rows = pairs.num_rows - u < kBlockRows ? pairs.num_rows - u : kBlockRows;
            for (std::size_t b = begin; b < end; b += kBlockQueries) {
                PairInput block = pairs;
                block.queries += b * pairs.query_width;
                block.num_queries = end - b < kBlockQueries ? end - b : kBlockQueries;
                for_each_tile<Kind>(
                    block, u, u + rows,
                    [&](const auto& found, std::size_t i0, std::size_t queries, std::size_t j0, std::size_t here) {
                        for (std::size_t i = 0; i < queries; ++i)
                            for (std::size_t j = 0; j < here; ++j) scores[i0 + i][j0 - u + j] = offset - found[i][j];
                    });
                for (std::size_t i = 0; i < block.num_queries; ++i)
                    wrong[b + i] |=
                        count_unknown(scores[i], rows, first + static_cast<std::int64_t>(u), answers[b + i]);
            }
        }
    });
}

}  // namespace graphkit::GRAPHKIT_PATH
