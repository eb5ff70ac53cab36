// Steps of rows and sums of duplicates: every instruction set equals a plain loop in double, at sizes around a vector.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"
#include "engine/duplicate_ids.hpp"
#include "engine/sparse_optimizers.hpp"
#include "machine/huge_pages.hpp"
#include "machine/row_updates.hpp"

using namespace graphkit;

namespace {

using Floats = std::vector<float>;
constexpr std::size_t kWidths[] = {1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 100};
constexpr RowRule kRules[] = {RowRule::sgd, RowRule::adagrad, RowRule::row_adagrad, RowRule::adam};

Floats draw(std::size_t size, unsigned seed, float low) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> in(low, 1.0f);
    Floats values(size);
    for (float& value : values) value = in(random);
    return values;
}

struct Table {
    std::size_t rows, width;
    Floats weight = draw(rows * width, 1, -1), first = draw(rows * width, 2, 0), second = draw(rows * width, 3, 0);
    std::vector<std::int64_t> steps = std::vector<std::int64_t>(rows, 4);

    RowStep step(RowRule rule, const std::vector<std::int64_t>& ids, const Floats& gradient) {
        return {rule,          weight.data(),
                false,         first.data(),
                second.data(), steps.data(),
                ids.data(),    gradient.data(),
                width,         0.1,
                0.8,           0.95,
                1e-6,          7};
    }
};

void plain_step(Table& table, RowRule rule, std::size_t row, const float* gradient) {
    const std::int64_t count = ++table.steps[row];
    double squares = 0;
    for (std::size_t d = 0; d < table.width; ++d) squares += double{gradient[d]} * gradient[d];
    if (rule == RowRule::row_adagrad) table.first[row] += static_cast<float>(squares / table.width);
    for (std::size_t d = 0; d < table.width; ++d) {
        const std::size_t at = row * table.width + d;
        const double g = gradient[d];
        double step = 0.1 * g;
        if (rule == RowRule::row_adagrad) step /= std::sqrt(double{table.first[row]}) + 1e-6;
        if (rule == RowRule::adagrad) {
            table.first[at] = static_cast<float>(table.first[at] + g * g);
            step /= std::sqrt(double{table.first[at]}) + 1e-6;
        }
        if (rule == RowRule::adam) {
            const double mean = 0.8 * table.first[at] + 0.2 * g, square = 0.95 * table.second[at] + 0.05 * g * g;
            table.first[at] = static_cast<float>(mean), table.second[at] = static_cast<float>(square);
            step = 0.1 / (1 - std::pow(0.8, count)) * mean / (std::sqrt(square / (1 - std::pow(0.95, count))) + 1e-6);
        }
        table.weight[at] = static_cast<float>(table.weight[at] - step);
    }
}

bool close(const Floats& found, const Floats& expected) {
    for (std::size_t i = 0; i < found.size(); ++i)
        if (!(std::abs(found[i] - expected[i]) <= 2e-6f)) return false;
    return found.size() == expected.size();
}

template <class Body>
void on_every_path(const Body& body) {
    for (const std::string& path : kernel_paths()) {
        CHECK(choose_kernels(path));
        body();
    }
}

}  // namespace

TEST(steps_equal_a_plain_loop) {
    on_every_path([] {
        for (const RowRule rule : kRules)
            for (const std::size_t width : kWidths)
                for (const unsigned threads : {1U, 3U}) {
                    const std::vector<std::int64_t> ids{6, 0, 3, 8};
                    const Floats gradient = draw(ids.size() * width, 5, -1);
                    Table found{9, width}, expected{9, width};
                    step_rows(found.step(rule, ids, gradient), ids.size(), threads);
                    for (std::size_t u = 0; u < ids.size(); ++u)
                        plain_step(expected, rule, static_cast<std::size_t>(ids[u]), &gradient[u * width]);
                    CHECK(close(found.weight, expected.weight));
                    CHECK(close(found.first, expected.first));
                    CHECK(close(found.second, expected.second));
                    CHECK_EQ(found.steps, expected.steps);
                }
    });
}

TEST(gradients_of_equal_ids_are_added_up_first) {
    on_every_path([] {
        const std::vector<std::int64_t> ids{6, 0, 6, 8, 0, 6, 3}, distinct{0, 3, 6, 8};
        for (const std::size_t width : kWidths) {
            const Floats gradient = draw(ids.size() * width, 5, -1);
            Floats sums(distinct.size() * width, 0.0f);
            for (std::size_t i = 0; i < ids.size(); ++i) {
                const std::size_t u = std::ranges::find(distinct, ids[i]) - distinct.begin();
                for (std::size_t d = 0; d < width; ++d) sums[u * width + d] += gradient[i * width + d];
            }
            for (const unsigned threads : {1U, 3U}) {
                Table found{9, width}, expected{9, width};
                CHECK(step_summed_rows(found.step(RowRule::adam, ids, gradient), ids.size(), threads));
                step_rows(expected.step(RowRule::adam, distinct, sums), distinct.size(), 1);
                CHECK(found.weight == expected.weight && found.steps == expected.steps);
                CHECK(found.first == expected.first && found.second == expected.second);
            }
        }
    });
}

TEST(sums_that_are_not_finite_change_nothing) {
    const std::vector<std::int64_t> ids{2, 1, 2};
    const Floats gradient{std::numeric_limits<float>::max(), 1, std::numeric_limits<float>::max()};
    Table table{3, 1}, before{3, 1};
    CHECK(!step_summed_rows(table.step(RowRule::adam, ids, gradient), 3, 2));
    CHECK(table.weight == before.weight && table.first == before.first && table.steps == before.steps);
}

TEST(bfloat16_is_rounded_to_a_neighbour) {
    on_every_path([] {
        for (const std::size_t width : kWidths) {
            std::vector<std::uint16_t> weight(3 * width, 0x3F80);  // 1
            std::vector<std::int64_t> steps(3, 0);
            const std::vector<std::int64_t> ids{2, 0};
            const Floats gradient(2 * width, -1.0f);
            const RowStep step{RowRule::sgd,
                               weight.data(),
                               true,
                               nullptr,
                               nullptr,
                               steps.data(),
                               ids.data(),
                               gradient.data(),
                               width,
                               0.003,
                               0,
                               0,
                               0,
                               1};
            step_rows(step, 2, 1);
            for (std::size_t i = 0; i < weight.size(); ++i)
                CHECK(weight[i] == 0x3F80 || (weight[i] == 0x3F81 && i / width != 1));
            CHECK_EQ(steps, std::vector<std::int64_t>{1, 0, 1});
        }
    });
}

TEST(many_rows_on_threads_equal_those_on_one) {
    const std::size_t rows = 40'000, width = 5;
    std::vector<std::int64_t> ids(rows);
    for (std::size_t i = 0; i < rows; ++i) ids[i] = static_cast<std::int64_t>(i * 7919 % rows);
    const Floats gradient = draw(rows * width, 5, -1);
    Table one{rows, width}, many{rows, width};
    step_rows(one.step(RowRule::adam, ids, gradient), rows, 1);
    step_rows(many.step(RowRule::adam, ids, gradient), rows, 4);
    CHECK(one.weight == many.weight && one.first == many.first && one.second == many.second);
}

TEST(bad_ids_and_values_are_found_first) {
    const std::int64_t largest = std::numeric_limits<std::int64_t>::max();
    CHECK(!first_bad_id(std::vector<std::int64_t>{0, 4}, 5));
    CHECK_EQ(*first_bad_id(std::vector<std::int64_t>{0, 5, -1}, 5), 1);
    CHECK_EQ(*first_bad_id(std::vector<std::int64_t>{0, -1, 5}, 5), 1);
    CHECK_EQ(*first_bad_id(std::vector<std::int64_t>{largest}, 5), 0);
    CHECK(!first_bad_id({}, 0));
    on_every_path([] {
        for (const std::size_t width : kWidths)
            for (const unsigned threads : {1U, 3U}) {
                Floats values = draw(20 * width, 1, -1);
                values[0] = std::numeric_limits<float>::max();
                CHECK(!first_not_finite(values.data(), 20, width, threads));
                values[19 * width] = std::numeric_limits<float>::quiet_NaN();
                values[8 * width - 1] = -std::numeric_limits<float>::infinity();
                CHECK_EQ(*first_not_finite(values.data(), 20, width, threads), 7);
            }
        CHECK(!first_not_finite(nullptr, 0, 3, 1));
        CHECK(!first_not_finite(nullptr, 3, 0, 1));
    });
}

TEST(duplicates_are_added_up_in_their_order) {
    on_every_path([] {
        for (const std::size_t width : kWidths)
            for (const std::size_t places : {std::size_t{0}, std::size_t{1}, std::size_t{5000}}) {
                std::vector<std::int64_t> ids(places), distinct(places), offsets(places + 1);
                std::vector<std::uint32_t> order(places);
                for (std::size_t i = 0; i < places; ++i) ids[i] = static_cast<std::int64_t>(i * i % 61);
                const Floats gradients = draw(places * width, 1, -1);
                const std::size_t groups = group_ids(ids, order, distinct, offsets);
                Floats sums(groups * width), expected(groups * width, 0.0f);
                sum_groups({gradients.data(), width, order.data(), offsets.data()}, groups, sums.data(), 3);
                for (std::size_t u = 1; u < groups; ++u) CHECK(distinct[u - 1] < distinct[u]);
                for (std::size_t i = 0; i < places; ++i) {
                    const std::size_t u =
                        std::lower_bound(distinct.begin(), distinct.begin() + groups, ids[i]) - distinct.begin();
                    for (std::size_t d = 0; d < width; ++d) expected[u * width + d] += gradients[i * width + d];
                }
                CHECK(sums == expected);
            }
    });
}

TEST(the_probe_adds_one_to_the_rows_it_is_given) {
    for (const std::size_t width : kWidths) {
        Floats table(5 * width, 2.0f);
        const std::vector<std::int64_t> ids{4, 1, 2};
        CHECK(measure_row_updates(table.data(), width, ids, 2, 4) > 0);
        for (std::size_t i = 0; i < table.size(); ++i)
            CHECK_EQ(table[i], i / width == 0 || i / width == 3 ? 2.0f : 3.0f);
    }
    CHECK(measure_row_updates(nullptr, 3, {}, 2, 4) >= 0);
}

TEST(memory_in_huge_pages_keeps_its_values) {
    std::vector<float> values(3 * kHugePage / sizeof(float), 1.5f);
    use_huge_pages(values.data(), values.size() * sizeof(float));
    CHECK(std::ranges::all_of(values, [](float value) { return value == 1.5f; }));
    use_huge_pages(values.data(), 5);
    use_huge_pages(nullptr, 0);
}

CHECK_MAIN()
