// Execution of queries without Python: what the sanitizers can see of programs, sets, bitmaps and threads.
#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <tuple>

#include "check.hpp"
#include "queries/entity_set.hpp"
#include "queries/execution.hpp"

using namespace graphkit;

namespace {

using Ids = std::vector<std::int64_t>;
constexpr std::int64_t kA = 0, kP = 1, kI = 2, kU = 3, kN = 4;  // operations as Python numbers them

struct Graph {
    std::uint64_t entities;
    Ids triples;
    IndexArrays<std::uint16_t, std::uint32_t> arrays;

    Graph(std::uint64_t n, Ids rows) : entities(n), triples(std::move(rows)) {
        arrays = build_index<std::uint16_t, std::uint32_t>({triples.data(), triples.size() / 3}, entities);
    }
    AnswerLists run(const Ids& code, const Ids& rows, std::uint64_t width, unsigned threads = 1) const {
        return execute(arrays.view(), Program(code, width), {rows, rows.size() / width}, threads);
    }
    // The definition: one hop from a set, by a walk over all triples.
    std::set<std::int64_t> hop(const std::set<std::int64_t>& from, std::int64_t relation) const {
        std::set<std::int64_t> to;
        for (std::size_t i = 0; i < triples.size(); i += 3) {
            if (triples[i + 1] != relation / 2) continue;
            const auto [source, target] =
                relation % 2 == 0 ? std::tuple(triples[i], triples[i + 2]) : std::tuple(triples[i + 2], triples[i]);
            if (from.contains(source)) to.insert(target);
        }
        return to;
    }
};

Graph random_graph(std::uint64_t entities, std::size_t edges) {
    std::mt19937_64 random(entities);
    Ids triples;
    for (std::size_t i = 0; i < edges; ++i) {
        // The square of a uniform number: some entities become hubs.
        const double u = std::uniform_real_distribution<>(0, 1)(random);
        triples.push_back(static_cast<std::int64_t>(u * u * static_cast<double>(entities)));
        triples.push_back(static_cast<std::int64_t>(random() % 2));
        triples.push_back(static_cast<std::int64_t>(random() % entities));
    }
    return {entities, triples};
}

Ids sorted(const std::set<std::int64_t>& set) { return {set.begin(), set.end()}; }

Ids list(const AnswerLists& lists, std::size_t i) {
    return {lists.values.begin() + lists.offsets[i], lists.values.begin() + lists.offsets[i + 1]};
}

// Sets over lists that outlive them; complements where the flag says so.
std::vector<EntitySet> sets_of(const std::vector<std::pair<std::vector<Entity>, bool>>& given) {
    std::vector<EntitySet> sets;
    for (const auto& [entities, complement] : given) sets.push_back({entities, true, complement});
    return sets;
}

void check_set(SetSpace& space, const EntitySet& set, const std::vector<Entity>& entities, bool complement) {
    CHECK(std::ranges::equal(space.sort(set).entities, entities));
    CHECK_EQ(set.complement, complement);
}

}  // namespace

TEST(paths_equal_the_definition) {
    for (const std::uint64_t n : {1, 2, 63, 64, 65, 500, 20000}) {
        const Graph graph = random_graph(n, 3 * n);
        Ids rows;
        for (std::int64_t anchor = 0; anchor < 20; ++anchor)
            for (const std::int64_t id : {anchor % static_cast<std::int64_t>(n), anchor % 4, (anchor / 2) % 4})
                rows.push_back(id);
        const auto found = graph.run({kA, 0, kP, 1, kP, 2}, rows, 3);
        CHECK_EQ(found.offsets.size(), 21);
        for (std::size_t i = 0; i < 20; ++i)
            CHECK_EQ(list(found, i), sorted(graph.hop(graph.hop({rows[3 * i]}, rows[3 * i + 1]), rows[3 * i + 2])));
    }
}

TEST(branches_equal_the_definition) {
    const Graph graph = random_graph(300, 3000);
    for (std::int64_t a = 0; a < 30; ++a) {
        const Ids row{a, 0, (a + 7) % 300, 3};
        const auto one = graph.hop({row[0]}, row[1]), two = graph.hop({row[2]}, row[3]);
        std::set<std::int64_t> both, either(one), without(one), neither;
        either.insert(two.begin(), two.end());
        std::erase_if(without, [&](auto x) { return two.contains(x); });
        for (const auto x : one)
            if (two.contains(x)) both.insert(x);
        for (std::int64_t x = 0; x < 300; ++x)
            if (!either.contains(x)) neither.insert(x);
        const Ids left{kA, 0, kP, 1}, right{kA, 2, kP, 3};
        const auto run = [&](const Ids& middle, const Ids& end) {
            Ids code = left;
            for (const Ids& part : {middle, right, end}) code.insert(code.end(), part.begin(), part.end());
            return list(graph.run(code, row, 4), 0);
        };
        CHECK_EQ(run({}, {kI, 2}), sorted(both));
        CHECK_EQ(run({}, {kU, 2}), sorted(either));
        CHECK_EQ(run({}, {kN, 0, kI, 2}), sorted(without));
        CHECK_EQ(run({}, {kU, 2, kN, 0}), sorted(neither));
        CHECK_EQ(run({kN, 0}, {kN, 0, kI, 2}), sorted(neither));
        CHECK_EQ(run({kN, 0}, {kN, 0, kU, 2, kN, 0}), sorted(both));
        CHECK_EQ(run({kN, 0}, {kU, 2, kN, 0}), sorted(without));
    }
}

TEST(complements_are_resolved_against_the_other_sets) {
    using Given = std::vector<std::pair<std::vector<Entity>, bool>>;
    SetSpace space(100);
    const auto intersected = [&](const Given& given, const std::vector<Entity>& entities, bool complement) {
        auto sets = sets_of(given);
        check_set(space, space.intersect(sets), entities, complement);
        space.reset();
    };
    const auto united = [&](const Given& given, const std::vector<Entity>& entities, bool complement) {
        auto sets = sets_of(given);
        check_set(space, space.unite(sets), entities, complement);
        space.reset();
    };
    intersected({{{1, 2, 3, 9}, false}, {{2, 5}, true}, {{9}, true}}, {1, 3}, false);
    intersected({{{1, 2}, true}, {{2, 3}, true}}, {1, 2, 3}, true);
    intersected({{{}, false}, {{4}, false}}, {}, false);
    united({{{1, 2, 3}, true}, {{2, 3, 4}, true}, {{3}, false}}, {2}, true);
    united({{{}, false}, {{}, true}}, {}, true);
    united({{{63, 64}, false}, {{0, 64, 99}, false}}, {0, 63, 64, 99}, false);
}

TEST(short_and_long_lists_intersect_by_search) {
    std::vector<Entity> all(5000);
    std::iota(all.begin(), all.end(), 0U);
    SetSpace space(10000);
    for (const std::vector<Entity>& few :
         {std::vector<Entity>{0}, {4999}, {5000}, {0, 1, 2, 2500, 4998, 4999, 5000, 9999}}) {
        std::vector<Entity> inside, outside;
        for (const Entity x : few) (x < 5000 ? inside : outside).push_back(x);
        for (const bool complement : {false, true}) {
            const std::vector<std::pair<std::vector<Entity>, bool>> given{{all, complement}, {few, false}};
            auto sets = sets_of(given);
            check_set(space, space.intersect(sets), complement ? outside : inside, false);
            space.reset();
        }
    }
}

TEST(members_are_those_of_the_last_set_alone) {
    for (const std::uint64_t entities : {std::uint64_t{130}, std::uint64_t{1} << 24}) {  // bits, and a table
        SetSpace space(entities);
        const std::vector<Entity> first{0, 63, 64, 129}, second{63, 128};
        const Members& members = space.members({first});
        CHECK(members.contains(129) && !members.contains(128));
        space.members({second});
        CHECK(members.contains(63) && members.contains(128) && !members.contains(129) && !members.contains(0));
        // A union leaves its own members, and sorting may take them away.
        std::vector<EntitySet> sets{{first}, {second}};
        const EntitySet both = space.unite(sets);
        CHECK(members.contains(0) && members.contains(128));
        CHECK(std::ranges::equal(space.sort(both).entities, std::vector<Entity>{0, 63, 64, 128, 129}));
        space.members({second});
        CHECK(!members.contains(0) && members.contains(128));
        space.reset();
        CHECK(!members.contains(63));
    }
}

TEST(a_table_of_members_grows_shrinks_and_forgets) {
    std::mt19937_64 random(6);
    Members members(std::uint64_t{1} << 24);
    for (int round = 0; round < 300; ++round) {
        std::set<Entity> definition;
        const std::size_t most = random() % (round % 10 == 0 ? 4096 : 40);
        members.begin(most);
        for (std::size_t i = 0; i < most; ++i) {
            const auto x = static_cast<Entity>(random() % (1 << (4 + random() % 20)));
            CHECK_EQ(members.insert(x), definition.insert(x).second);
        }
        for (Entity x = 0; x < 60; ++x) CHECK_EQ(members.contains(x), definition.contains(x));
        for (const Entity x : definition) CHECK(members.contains(x));
    }
}

TEST(sorting_is_the_same_whether_few_or_many_are_sorted) {
    std::mt19937_64 random(3);
    for (const std::uint64_t entities : {70, 100'000}) {
        SetSpace space(entities);
        for (const std::size_t size : {0, 1, 2, 60}) {
            std::set<Entity> drawn;
            while (drawn.size() < size) drawn.insert(static_cast<Entity>(random() % entities));
            std::vector<Entity> shuffled(drawn.begin(), drawn.end());
            std::shuffle(shuffled.begin(), shuffled.end(), random);
            const auto sorted = space.sort({shuffled, false}).entities;
            CHECK(std::ranges::equal(sorted, drawn));
            space.reset();
        }
    }
}

TEST(any_number_of_threads_gives_the_same_lists) {
    const Graph graph = random_graph(400, 4000);
    Ids rows;
    for (std::int64_t i = 0; i < 333; ++i)
        for (const std::int64_t id : {i, i % 4, (i + 1) % 4, (3 * i) % 400, i % 3}) rows.push_back(id);
    const Ids code{kA, 0, kP, 1, kP, 2, kA, 3, kP, 4, kN, 0, kI, 2};
    const auto one = graph.run(code, rows, 5);
    for (const unsigned threads : {2U, 4U, 64U}) {
        const auto several = graph.run(code, rows, 5, threads);
        CHECK_EQ(several.values, one.values);
        CHECK_EQ(several.offsets, one.offsets);
    }
    const auto none = graph.run(code, {}, 5, 4);
    CHECK_EQ(none.offsets, Ids{0});
}

TEST(what_would_read_out_of_bounds_is_refused) {
    const Graph graph = random_graph(10, 30);
    CHECK_THROWS(graph.run({kA, 0}, {10}, 1), std::out_of_range);
    CHECK_THROWS(graph.run({kA, 0}, {-1}, 1, 2), std::out_of_range);
    CHECK_EQ(graph.run({kA, 0, kP, 1}, {0, 99}, 2).values, Ids{});  // a relation that is not there leads nowhere
    CHECK_EQ(graph.run({kA, 0, kP, 1}, {0, -1}, 2).values, Ids{});
    for (const Ids& code : {Ids{},
                            {kA, 1},
                            {kA, -1},
                            {kP, 0},
                            {kN, 0},
                            {kA, 0, kI, 2},
                            {kA, 0, kU, 0},
                            {kA, 0, kA, 0},
                            {7, 0},
                            {-1, 0},
                            {kA, 0, kN, 0, kP, 0},
                            {kA, 0, kI, -1}})
        CHECK_THROWS(Program(code, 1), std::invalid_argument);
}

TEST(ten_thousand_levels_are_refused_and_a_hundred_run) {
    const auto chain = [](std::size_t levels) {
        Ids code{kA, 0};
        for (std::size_t i = 1; i < levels; ++i) code.insert(code.end(), {kN, 0});
        return code;
    };
    CHECK_THROWS(Program(chain(10000), 1), std::invalid_argument);
    CHECK_THROWS(Program(chain(kMaxQueryDepth + 1), 1), std::invalid_argument);
    const Graph graph = random_graph(10, 30);
    CHECK_EQ(graph.run(chain(kMaxQueryDepth - 1), {3}, 1).values, Ids{3});
    Ids wide;
    for (int i = 0; i < 10000; ++i) wide.insert(wide.end(), {kA, 0});
    wide.insert(wide.end(), {kU, 10000});
    CHECK_EQ(graph.run(wide, {3}, 1).values, Ids{3});
}

CHECK_MAIN()
