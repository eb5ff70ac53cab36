// Pair scores against plain loops, on every instruction set, with sizes around those of vectors and tiles.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "check.hpp"
#include "engine/pair_scores.hpp"

using namespace graphkit;

namespace {

constexpr float kInside = 0.3f;

struct Problem {
    std::vector<float> queries, rows;
    std::vector<std::int64_t> places;
    std::size_t per_query;
    PairInput input;
};

Problem make(PairKind kind, std::size_t queries, std::size_t rows, std::size_t width, std::size_t per_query) {
    std::mt19937 random(static_cast<unsigned>(queries * 31 + rows * 7 + width));
    std::normal_distribution<float> normal;
    Problem p;
    const std::size_t query_width = kind == PairKind::box || kind == PairKind::centred ? 2 * width : width;
    p.queries.resize(queries * query_width);
    p.rows.resize(rows * width);
    p.per_query = per_query;
    for (float& x : p.queries) x = normal(random);
    for (float& x : p.rows) x = normal(random);
    for (std::size_t i = 0; i < queries * per_query; ++i) p.places.push_back(random() % rows);
    p.input = {kind, p.queries.data(), queries, query_width, p.rows.data(), rows, width, kInside};
    return p;
}

// The score of a pair and, where they are wanted, its gradients times `weight`.
double plain(const PairInput& in, std::size_t b, std::size_t u, double weight, double* dq, double* de) {
    const float *q = in.queries + b * in.query_width, *e = in.rows + u * in.row_width;
    const std::size_t n = in.kind == PairKind::rotate ? in.row_width / 2 : in.row_width;
    double score = 0;
    for (std::size_t d = 0; d < n; ++d) {
        const double x = static_cast<double>(e[d]) - q[d], sign = (x > 0) - (x < 0);
        double row = 0, width = 0;
        switch (in.kind) {
            case PairKind::dot:
                score += static_cast<double>(q[d]) * e[d];
                if (dq != nullptr) dq[d] += weight * e[d], de[d] += weight * q[d];
                continue;
            case PairKind::centred: {
                const double from = static_cast<double>(e[d]) - q[n + d];
                score += q[d] * from;
                if (dq != nullptr) dq[d] += weight * from, dq[n + d] -= weight * q[d], de[d] += weight * q[d];
                continue;
            }
            case PairKind::l1:
                score += std::abs(x), row = sign;
                break;
            case PairKind::l2:
                score += x * x, row = x;
                break;
            case PairKind::rotate: {
                const double y = static_cast<double>(e[n + d]) - q[n + d], modulus = std::hypot(x, y);
                score += modulus, row = x / modulus;
                if (dq != nullptr) dq[n + d] -= weight * y / modulus, de[n + d] += weight * y / modulus;
                break;
            }
            case PairKind::box: {
                const double distance = std::abs(x), half = q[n + d];
                const bool beyond = distance > half;
                score += beyond ? distance - half + kInside * std::abs(half) : kInside * std::abs(distance);
                row = sign * (beyond ? 1 : kInside);
                width = beyond ? kInside * ((half > 0) - (half < 0)) - 1 : 0;
                break;
            }
        }
        if (dq == nullptr) continue;
        de[d] += weight * row;
        dq[d] -= weight * row;
        if (in.kind == PairKind::box) dq[n + d] += weight * width;
    }
    return in.kind == PairKind::l2 ? std::sqrt(score) : score;
}

void check_close(const std::vector<float>& found, const std::vector<double>& expected) {
    CHECK(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
        CHECK(std::abs(found[i] - expected[i]) <= 1e-4 * std::max(1.0, std::abs(expected[i])));
}

void check_own(const Problem& p, unsigned threads) {
    const PairInput& in = p.input;
    std::vector<std::uint32_t> order(p.places.size());
    std::vector<std::int64_t> offsets(in.num_rows + 1);
    CHECK(!group_pairs(p.places, order, offsets));
    for (std::size_t u = 0; u < in.num_rows; ++u)
        for (std::int64_t i = offsets[u]; i < offsets[u + 1]; ++i) {
            CHECK(p.places[order[i]] == static_cast<std::int64_t>(u));
            CHECK(i == offsets[u] || order[i - 1] < order[i]);
        }
    const OwnPairs pairs{order.data(), offsets.data(), static_cast<std::uint32_t>(p.per_query)};
    std::vector<float> scores(p.places.size()), weights(p.places.size()), dq(p.queries.size(), 7), de(p.rows.size(), 7);
    own_scores(in, pairs, scores.data(), threads);
    std::vector<double> expected, expected_dq(dq.size()), expected_de(de.size());
    for (std::size_t pair = 0; pair < p.places.size(); ++pair) {
        weights[pair] = static_cast<float>(pair % 5) - 1.5f;
        const std::size_t b = pair / p.per_query, u = p.places[pair];
        expected.push_back(plain(in, b, u, weights[pair], expected_dq.data() + b * in.query_width,
                                 expected_de.data() + u * in.row_width));
    }
    check_close(scores, expected);
    own_gradients(in, pairs, weights.data(), dq.data(), de.data(), threads);
    check_close(dq, expected_dq);
    check_close(de, expected_de);
}

void check_shared(const Problem& p, unsigned threads) {
    const PairInput& in = p.input;
    std::vector<float> scores(in.num_queries * in.num_rows), weights(scores.size());
    std::vector<float> dq(p.queries.size(), 7), de(p.rows.size(), 7);
    shared_scores(in, scores.data(), threads);
    std::vector<double> expected, expected_dq(dq.size()), expected_de(de.size());
    for (std::size_t b = 0; b < in.num_queries; ++b)
        for (std::size_t u = 0; u < in.num_rows; ++u) {
            const std::size_t pair = b * in.num_rows + u;
            weights[pair] = static_cast<float>(pair % 5) - 1.5f;
            expected.push_back(plain(in, b, u, weights[pair], expected_dq.data() + b * in.query_width,
                                     expected_de.data() + u * in.row_width));
        }
    check_close(scores, expected);
    shared_gradients(in, weights.data(), dq.data(), de.data(), threads);
    check_close(dq, expected_dq);
    check_close(de, expected_de);
}

}  // namespace

TEST(every_path_equals_plain_loops) {
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        for (const PairKind kind :
             {PairKind::dot, PairKind::l1, PairKind::l2, PairKind::rotate, PairKind::box, PairKind::centred})
            for (const std::size_t width : {2, 6, 16, 34, 64, 130})
                for (const std::size_t queries : {1, 5, 9}) {
                    const Problem p = make(kind, queries, 7, width, 11);
                    check_own(p, 1);
                    check_shared(p, 1);
                }
        // Large enough for several threads.
        const Problem p = make(PairKind::rotate, 90, 120, 140, 110);
        check_own(p, 3);
        check_shared(p, 3);
    }
    CHECK(!choose_kernels("none"));
}

TEST(a_place_that_is_no_row_is_found) {
    std::vector<std::uint32_t> order(3);
    std::vector<std::int64_t> offsets(3);
    CHECK(group_pairs(std::vector<std::int64_t>{0, 1, 2}, order, offsets) == 2);
    CHECK(group_pairs(std::vector<std::int64_t>{0, -1, 1}, order, offsets) == 1);
}

CHECK_MAIN()
