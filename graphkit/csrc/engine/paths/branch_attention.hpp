// The attention over the branches of intersections, of queries `begin` to `end`.

namespace graphkit::GRAPHKIT_PATH {

// A query: its branches, where the first of them stands, where the first difference from it does, and how many rows
// further each next one is.
struct BranchesOf {
    std::size_t query, branches, row, difference, step;

    std::size_t row_of(std::size_t branch) const { return row + branch * step; }
    std::size_t difference_of(std::size_t branch) const { return difference + (branch - 1) * step; }
};

template <class Visitor>
GRAPHKIT_INLINE void for_each_query(const BranchGroups& groups, std::size_t begin, std::size_t end, Visitor&& visit) {
    std::size_t row = 0, difference = 0, query = 0;
    for (std::size_t group = 0; group < groups.count && query < end; ++group) {
        const auto branches = static_cast<std::size_t>(groups.branches[group]);
        const auto queries = static_cast<std::size_t>(groups.queries[group]);
        const std::size_t last = end - query < queries ? end - query : queries;
        for (std::size_t b = begin > query ? begin - query : 0; b < last; ++b)
            visit(BranchesOf{query + b, branches, row + b, difference + b, queries});
        row += branches * queries;
        difference += (branches - 1) * queries;
        query += queries;
    }
}

// The positive part; NaN stays.
GRAPHKIT_INLINE Vec positive_part(Vec v) { return keep(~(v < 0), v); }

static void attention_hidden(const BranchGroups& groups, float* hidden, const float* bias, std::size_t width,
                             std::size_t begin, std::size_t end, float* differences) {
    for_each_query(groups, begin, end, [&](const BranchesOf& of) {
        for_each_lanes(width, [&](std::size_t i, std::size_t here) {
            const Vec shift = load_here(bias + i, here);
            const auto activate = [&](float* at) {
                const Vec found = positive_part(load_here(at, here) + shift);
                store_here(at, found, here);
                return found;
            };
            const Vec first = activate(hidden + of.row * width + i);
            for (std::size_t k = 1; k < of.branches; ++k)
                store_here(differences + of.difference_of(k) * width + i,
                           activate(hidden + of.row_of(k) * width + i) - first, here);
        });
    });
}

static void attention_hidden_gradients(const BranchGroups& groups, const float* of_differences, const float* hidden,
                                       std::size_t width, std::size_t begin, std::size_t end, float* of_hidden) {
    for_each_query(groups, begin, end, [&](const BranchesOf& of) {
        for_each_lanes(width, [&](std::size_t i, std::size_t here) {
            const auto pass = [&](std::size_t row, Vec gradient) {
                const std::size_t at = row * width + i;
                store_here(of_hidden + at, keep(load_here(hidden + at, here) > 0, gradient), here);
            };
            Vec first = {};
            for (std::size_t k = 1; k < of.branches; ++k) {
                const Vec gradient = load_here(of_differences + of.difference_of(k) * width + i, here);
                first -= gradient;
                pass(of.row_of(k), gradient);
            }
            pass(of.row, first);
        });
    });
}

// Scores of the branches of a query at some columns, against its first branch, whose own is 0.
struct ScoresHere {
    const ScoredBranches& in;
    const BranchesOf& of;
    std::size_t i, here;
    Vec most = {};

    static inline __attribute__((always_inline)) ScoresHere at(const ScoredBranches& in, const BranchesOf& of,
                                                               std::size_t i, std::size_t here) {
        ScoresHere found{in, of, i, here};
        for (std::size_t k = 1; k < of.branches; ++k) {
            const Vec score = found.score(k);
            found.most = score > found.most ? score : found.most;
        }
        return found;
    }

    inline __attribute__((always_inline)) Vec score(std::size_t k) const {
        return k == 0 ? Vec{} : load_here(in.scores + of.difference_of(k) * in.weights + i, here);
    }

    // Of branch k, before weights are divided by their total.
    inline __attribute__((always_inline)) Vec weight(std::size_t k) const { return exp_of_negative(score(k) - most); }
};

static void attention_means(const ScoredBranches& in, std::size_t begin, std::size_t end, float* means) {
    const std::size_t width = in.weights * in.parts;
    for_each_query(in.groups, begin, end, [&](const BranchesOf& of) {
        for_each_lanes(in.weights, [&](std::size_t i, std::size_t here) {
            const ScoresHere scores = ScoresHere::at(in, of, i, here);
            for (std::size_t at = i; at < width; at += in.weights) {
                Vec total = {}, mean = {};
                for (std::size_t k = 0; k < of.branches; ++k) {
                    const Vec weight = scores.weight(k);
                    total += weight;
                    mean = fma(weight, load_here(in.rows + of.row_of(k) * width + at, here), mean);
                }
                store_here(means + of.query * width + at, mean / total, here);
            }
        });
    });
}

static void attention_gradients(const ScoredBranches& in, const float* of_means, std::size_t begin, std::size_t end,
                                float* of_branches, float* of_scores) {
    const std::size_t width = in.weights * in.parts;
    for_each_query(in.groups, begin, end, [&](const BranchesOf& of) {
        const float* gradient = of_means + of.query * width;
        for_each_lanes(in.weights, [&](std::size_t i, std::size_t here) {
            const ScoresHere scores = ScoresHere::at(in, of, i, here);
            // Branch k along the gradient, which is that of its weight but for what all branches share.
            const auto along = [&](std::size_t k) {
                Vec found = {};
                for (std::size_t at = i; at < width; at += in.weights)
                    found = fma(load_here(gradient + at, here), load_here(in.rows + of.row_of(k) * width + at, here),
                                found);
                return found;
            };
            Vec total = {}, mean = {};
            for (std::size_t k = 0; k < of.branches; ++k) {
                const Vec weight = scores.weight(k);
                total += weight;
                mean = fma(weight, along(k), mean);
            }
            mean /= total;
            for (std::size_t k = 0; k < of.branches; ++k) {
                const Vec weight = scores.weight(k) / total;
                for (std::size_t at = i; at < width; at += in.weights)
                    store_here(of_branches + of.row_of(k) * width + at, weight * load_here(gradient + at, here), here);
                if (k > 0)
                    store_here(of_scores + of.difference_of(k) * in.weights + i, weight * (along(k) - mean), here);
            }
        });
    });
}

}  // namespace graphkit::GRAPHKIT_PATH
