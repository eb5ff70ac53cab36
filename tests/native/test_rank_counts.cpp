// Counts of scores above, and level with, answers equal a plain loop, on every path and any number of threads.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "engine/pair_scores.hpp"
#include "engine/rank_counts.hpp"

using namespace graphkit;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Counts {
    std::vector<std::int64_t> above, level;
    bool operator==(const Counts&) const = default;
};

// Queries with `most` answers at most, whose scores are among those of the candidates, and known entities.
struct Case {
    std::size_t queries, width;
    std::int64_t first = 100;
    std::vector<float> scores, own;
    std::vector<std::int64_t> offsets{0}, known, known_offsets{0};

    Case(std::vector<float> candidates, std::size_t num_queries, std::size_t most, unsigned seed)
        : queries(num_queries), width(candidates.size() / num_queries), scores(std::move(candidates)) {
        std::mt19937 random(seed);
        for (std::size_t q = 0; q < queries; ++q) {
            const auto begin = own.size();
            // Every third query has no answer, and every fifth no known entity.
            for (std::size_t i = q % 3 == 0 ? 0 : 1 + random() % most; i > 0; --i)
                own.push_back(scores[q * width + random() % width]);
            std::sort(own.begin() + static_cast<std::ptrdiff_t>(begin), own.end());
            offsets.push_back(static_cast<std::int64_t>(own.size()));
            // Some are entities of other chunks, before and behind.
            for (std::int64_t e = 0; q % 5 != 0 && e < first + static_cast<std::int64_t>(width) + 100; ++e)
                if (random() % 4 == 0) known.push_back(e);
            known_offsets.push_back(static_cast<std::int64_t>(known.size()));
        }
    }

    bool is_known(std::size_t q, std::int64_t entity) const {
        return std::binary_search(known.begin() + known_offsets[q], known.begin() + known_offsets[q + 1], entity);
    }

    Counts loop() const {
        Counts found{std::vector<std::int64_t>(own.size()), std::vector<std::int64_t>(own.size())};
        for (std::size_t q = 0; q < queries; ++q)
            for (auto j = static_cast<std::size_t>(offsets[q]); j < static_cast<std::size_t>(offsets[q + 1]); ++j)
                for (std::size_t e = 0; e < width; ++e) {
                    if (is_known(q, first + static_cast<std::int64_t>(e))) continue;
                    found.above[j] += scores[q * width + e] > own[j];
                    found.level[j] += scores[q * width + e] == own[j];
                }
        return found;
    }

    RankInput input(Counts& counts) const {
        counts = {std::vector<std::int64_t>(own.size()), std::vector<std::int64_t>(own.size())};
        return {own.data(), offsets.data(),      known.data(),       known_offsets.data(),
                first,      counts.above.data(), counts.level.data()};
    }

    Counts counted(unsigned threads) const {
        Counts counts;
        const auto wrong = std::make_unique<bool[]>(queries);
        count_scores(scores.data(), queries, width, input(counts), wrong.get(), threads);
        CHECK(std::none_of(wrong.get(), wrong.get() + queries, [](bool is) { return is; }));
        return counts;
    }
};

std::vector<float> drawn(std::size_t count, unsigned seed, int values) {
    std::mt19937 random(seed);
    std::vector<float> found(count);
    for (float& value : found) value = 0.25f * static_cast<float>(static_cast<int>(random() % values) - values / 2);
    return found;
}

template <class Body>
void on_every_path(const Body& body) {
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        body();
    }
    choose_kernels(kernel_paths().back());
}

TEST(counts_of_scores_equal_a_loop_for_few_answers_and_for_many) {
    on_every_path([] {
        for (const std::size_t most : {1u, 3u, 64u, 65u, 300u})
            for (const std::size_t width : {1u, 7u, 16u, 33u, 1024u, 2500u}) {
                // Few values: scores tie with answers, and answers with each other.
                const Case drawn_case(drawn(11 * width, most, 40), 11, most, 1);
                CHECK_EQ(drawn_case.counted(1), drawn_case.loop());
            }
    });
}

TEST(infinite_scores_and_zeros_of_both_signs_are_counted_like_others) {
    on_every_path([] {
        for (const std::size_t most : {3u, 100u}) {
            std::vector<float> scores = drawn(9 * 200, 3, 5);
            const float special[] = {kInfinity, -kInfinity, 0.0f, -0.0f};
            for (std::size_t i = 0; i < scores.size(); i += 3) scores[i] = special[i / 3 % 4];
            const Case drawn_case(scores, 9, most, 2);
            CHECK_EQ(drawn_case.counted(1), drawn_case.loop());
        }
    });
}

TEST(counts_do_not_depend_on_the_number_of_threads) {
    on_every_path([] {
        const Case drawn_case(drawn(std::size_t{300} * 4000, 5, 1000), 300, 90, 4);
        const Counts once = drawn_case.counted(1);
        for (const unsigned threads : {2u, 3u, 8u}) CHECK_EQ(drawn_case.counted(threads), once);
    });
}

TEST(queries_with_a_score_that_is_not_a_number_are_marked) {
    on_every_path([] {
        for (const std::size_t place : {0u, 15u, 16u, 38u}) {
            std::vector<float> scores = drawn(std::size_t{6} * 39, 6, 9);
            const Case good(scores, 6, 2, 7);
            scores[3 * 39 + place] = std::nanf("");
            Case bad = good;
            bad.scores = scores;
            Counts counts;
            bool wrong[6];
            count_scores(bad.scores.data(), 6, 39, bad.input(counts), wrong, 1);
            for (std::size_t q = 0; q < 6; ++q) CHECK_EQ(wrong[q], q == 3);
        }
    });
}

TEST(counts_of_pairs_equal_those_of_their_scores) {
    on_every_path([] {
        for (const PairKind kind : {PairKind::l1, PairKind::l2, PairKind::rotate, PairKind::box})
            for (const std::size_t width : {2u, 18u, 64u})
                for (const std::size_t num_queries : {1u, 9u, 70u})
                    for (const std::size_t num_rows : {1u, 5u, 257u}) {
                        const std::size_t query_width = kind == PairKind::box ? 2 * width : width;
                        const auto queries = drawn(num_queries * query_width, 8, 5);
                        const auto rows = drawn(num_rows * width, 9, 5);
                        const PairInput pairs{kind,        queries.data(), num_queries, query_width,
                                              rows.data(), num_rows,       width,       0.02f};
                        std::vector<float> scores(num_queries * num_rows);
                        shared_scores(pairs, scores.data(), 1);
                        for (float& score : scores) score = 9.3f - score;
                        for (const std::size_t most : {2u, 80u}) {
                            const Case drawn_case(scores, num_queries, most, 10);
                            for (const unsigned threads : {1u, 4u}) {
                                Counts counts;
                                const auto wrong = std::make_unique<bool[]>(num_queries);
                                count_pairs(pairs, 9.3f, drawn_case.input(counts), wrong.get(), threads);
                                CHECK_EQ(counts, drawn_case.loop());
                                CHECK(std::none_of(wrong.get(), wrong.get() + num_queries, [](bool is) { return is; }));
                            }
                        }
                    }
    });
}

TEST(a_row_that_is_not_a_number_marks_every_query_and_such_a_query_itself) {
    on_every_path([] {
        for (const PairKind kind : {PairKind::l1, PairKind::l2, PairKind::rotate, PairKind::box}) {
            const std::size_t query_width = kind == PairKind::box ? 40 : 20;
            auto queries = drawn(5 * query_width, 11, 5), rows = drawn(std::size_t{7} * 20, 12, 5);
            const PairInput pairs{kind, queries.data(), 5, query_width, rows.data(), 7, 20, 0.02f};
            const Case drawn_case(std::vector<float>(35), 5, 1, 13);
            Counts counts;
            bool wrong[5];
            // Of a box, one of its half widths.
            queries[3 * query_width - 1] = std::nanf("");
            count_pairs(pairs, 1.0f, drawn_case.input(counts), wrong, 1);
            for (std::size_t q = 0; q < 5; ++q) CHECK_EQ(wrong[q], q == 2);
            rows[6 * 20 + 3] = std::nanf("");
            count_pairs(pairs, 1.0f, drawn_case.input(counts), wrong, 1);
            for (const bool is : wrong) CHECK(is);
        }
    });
}

}  // namespace

CHECK_MAIN()
