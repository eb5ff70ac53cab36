// Blocks of queries: whichever way is taken, forwards or backwards, what is said of an entity is what the definition
// says.
#include <cstdint>
#include <numeric>
#include <random>

#include "brute_force.hpp"
#include "check.hpp"
#include "queries/block_answers.hpp"

using namespace graphkit;

namespace {

constexpr std::uint64_t kAll = std::numeric_limits<std::int64_t>::max();

struct Executed {
    std::size_t lanes = 0, listed = 0;
};

// Random rows of one structure, executed as a block: answers that are listed and every test equal the definition.
Executed check_block(const Drawn& graph, const Code& code, std::uint64_t limit, std::mt19937_64& random,
                     BlockSpace& space) {
    const std::size_t lanes = 40;
    const BlockPlan plan(Program(code, width_of(code)));
    std::vector<std::int64_t> rows(lanes * width_of(code));
    for (std::size_t i = 0; i < code.size(); i += 2)
        for (std::size_t lane = 0; lane < lanes && code[i] < 2; ++lane)
            rows[lane * width_of(code) + static_cast<std::size_t>(code[i + 1])] =
                static_cast<std::int64_t>(random() % (code[i] == 0 ? graph.entities : 4));
    std::vector<std::uint32_t> some;  // not all lanes take part
    for (std::uint32_t lane = 0; lane < lanes; ++lane)
        if (lane % 5 != 3) some.push_back(lane);
    const auto view = graph.arrays.view();
    BlockAnswers block(view, plan, limit, lanes, rows.data(), space);
    block.execute(some);

    Executed executed{some.size(), 0};
    std::vector<Asked> asked;
    std::vector<std::uint8_t> expected;
    for (const std::uint32_t lane : some) {
        const Set known = answers(graph, code, rows.data() + lane * width_of(code));
        if (block.listed(lane)) {
            ++executed.listed;
            const auto entities = block.answers(lane).entities;
            CHECK_EQ(entities.size(), known.size());
            CHECK(Set(entities.begin(), entities.end()) == known);
        }
        for (std::uint64_t x = 0; x < graph.entities; ++x) {
            asked.push_back({static_cast<Entity>(x), lane});
            expected.push_back(known.contains(static_cast<std::int64_t>(x)));
        }
    }
    std::vector<std::uint8_t> held(asked.size());
    block.test(asked, held);
    CHECK(held == expected);
    return executed;
}

// A graph with hubs, whose runs are hundreds of times longer than others.
Drawn hubs(unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<Edge> triples;
    for (std::int64_t x = 0; x < 300; ++x) triples.push_back({0, 0, x});
    for (std::int64_t x = 100; x < 280; ++x) triples.push_back({x, 1, 1});
    for (int i = 0; i < 400; ++i) {
        const std::int64_t h = random() % 300, r = random() % 2, t = random() % 300;
        triples.push_back({h, r, t});
    }
    return build(triples, 300);
}

}  // namespace

TEST(blocks_equal_the_definition_however_much_is_listed) {
    std::mt19937_64 random(1);
    for (const auto& [name, code] : kCodes)
        for (unsigned seed = 0; seed < 6; ++seed) {
            const Drawn graph = draw_graph(5 + 4 * seed, 2, 10 + 10 * seed, seed);
            BlockSpace space(graph.entities);  // kept: what a block leaves behind must not reach the next
            for (const std::uint64_t limit : {kAll, std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4}, kAll})
                check_block(graph, code, limit, random, space);
        }
}

TEST(blocks_on_graphs_with_hubs_equal_the_definition) {
    std::mt19937_64 random(2);
    const Drawn graph = hubs(3);
    BlockSpace space(graph.entities);
    for (const auto& [name, code] : kCodes)
        for (const std::uint64_t limit : {std::uint64_t{0}, std::uint64_t{10}, std::uint64_t{200}, kAll})
            check_block(graph, code, limit, random, space);
}

TEST(the_limit_decides_between_forwards_cut_and_backwards) {
    std::mt19937_64 random(4);
    const Drawn graph = hubs(3);
    BlockSpace space(graph.entities);
    for (const auto& name : {"3p", "up", "inp"}) {
        const Code& code = kCodes.at(name);
        const Executed forwards = check_block(graph, code, kAll, random, space);
        const Executed cut = check_block(graph, code, 10, random, space);
        const Executed backwards = check_block(graph, code, 0, random, space);
        CHECK_EQ(forwards.listed, forwards.lanes);
        CHECK(cut.listed > 0 && cut.listed < cut.lanes);
        CHECK(backwards.listed < cut.lanes);
    }
}

TEST(steps_from_thousands_of_entities_are_listed_like_short_ones) {
    const std::int64_t spokes = 5000;  // more than the look-ups that are held together
    std::vector<Edge> triples;
    for (std::int64_t x = 1; x <= spokes; ++x) {
        triples.push_back({0, 0, x});
        triples.push_back({x, 1, spokes + 1 + x % 7});
    }
    const Drawn graph = build(triples, spokes + 10);
    const BlockPlan plan(Program(Code{0, 0, 1, 1, 1, 2}, 3));
    const std::vector<std::int64_t> rows{0, 0, 2, 0, 0, 2};
    const std::vector<std::uint32_t> some{0, 1};
    const auto view = graph.arrays.view();
    BlockSpace space(graph.entities);
    for (const auto& [limit, listed] :
         {std::pair{kAll, true}, {std::uint64_t{5000}, true}, {std::uint64_t{4999}, false}}) {
        BlockAnswers block(view, plan, limit, 2, rows.data(), space);
        block.execute(some);
        for (const std::uint32_t lane : some) {
            CHECK_EQ(block.listed(lane), listed);
            if (!listed) continue;
            const auto found = space.sets.sort(block.answers(lane)).entities;
            CHECK(std::ranges::equal(found, std::vector<Entity>{5001, 5002, 5003, 5004, 5005, 5006, 5007}));
        }
    }
}

TEST(steps_from_many_entities_end_where_their_edges_are_too_many) {
    const std::int64_t spokes = 200;  // looked up in several parts, the last of which is not full
    std::vector<Edge> triples;
    for (std::int64_t x = 1; x <= spokes; ++x) {
        triples.push_back({0, 0, x});
        if (x % 3 == 0) continue;  // some have no edge of the second relation
        for (std::int64_t i = 0; i < 3; ++i) triples.push_back({x, 1, spokes + 1 + (x + 5 * i) % 40});
    }
    const Drawn graph = build(triples, spokes + 50);
    const Code code{0, 0, 1, 1, 1, 2};
    const BlockPlan plan(Program(code, 3));
    const std::vector<std::int64_t> rows{0, 0, 2, 1, 2, 3, 0, 0, 2};  // the second lane has few entities
    const std::vector<std::uint32_t> some{0, 1, 2};
    const auto view = graph.arrays.view();
    BlockSpace space(graph.entities);
    const std::uint64_t edges = 3 * (spokes - spokes / 3);
    for (const std::uint64_t limit : {kAll, edges, edges - 1, std::uint64_t{spokes}, edges}) {
        BlockAnswers block(view, plan, limit, 3, rows.data(), space);
        block.execute(some);
        for (const std::uint32_t lane : some) {
            CHECK_EQ(block.listed(lane), lane == 1 || limit >= edges);
            const Set known = answers(graph, code, rows.data() + 3 * lane);
            std::vector<Asked> asked;
            std::vector<std::uint8_t> expected, held(graph.entities);
            for (std::uint64_t x = 0; x < graph.entities; ++x) {
                asked.push_back({static_cast<Entity>(x), lane});
                expected.push_back(known.contains(static_cast<std::int64_t>(x)));
            }
            block.test(asked, held);
            CHECK(held == expected);
        }
    }
}

TEST(backward_tests_ask_an_entity_once_however_many_paths_lead_to_it) {
    // A star of 2,000 leaves: backwards, paths of eight steps are 2,000 to the power of four.
    const std::int64_t leaves = 2000;
    std::vector<Edge> triples;
    for (std::int64_t x = 1; x <= leaves; ++x) triples.push_back({0, 0, x});
    const Drawn graph = build(triples, leaves + 1);
    const BlockPlan plan(Program(Code{0, 0, 1, 1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 8}, 9));
    const std::vector<std::int64_t> row{0, 0, 1, 0, 1, 0, 1, 0, 1};
    const std::vector<std::uint32_t> some{0};
    const auto view = graph.arrays.view();
    BlockSpace space(graph.entities);
    BlockAnswers block(view, plan, 0, 1, row.data(), space);
    block.execute(some);
    CHECK(!block.listed(0));
    const std::vector<Asked> asked{{0, 0}, {1, 0}, {7, 0}};
    std::vector<std::uint8_t> held(3);
    block.test(asked, held);
    CHECK_EQ(held, (std::vector<std::uint8_t>{1, 0, 0}));
}

TEST(members_are_told_from_others_whichever_way_they_are_looked_for) {
    std::mt19937_64 random(5);
    const std::vector<std::size_t> sizes{0, 1, 8, 9, 60, 900};  // compared with one by one, or not
    const std::vector<std::size_t> counts{1, 2, 15, 1000};      // searched, or looked up
    for (const std::uint64_t entities : {std::uint64_t{2000}, std::uint64_t{1} << 24}) {
        SetSpace sets(entities);
        for (const std::size_t size : sizes)
            for (const std::size_t tests : counts)
                for (const bool is_sorted : {true, false})
                    for (const bool clustered : {true, false}) {
                        std::set<Entity> definition;
                        while (definition.size() < size) {
                            const auto x = static_cast<Entity>(random() % 2000);
                            definition.insert(clustered ? x * x / 2000 : x);
                        }
                        std::vector<Entity> members(definition.begin(), definition.end());
                        if (!is_sorted) std::shuffle(members.begin(), members.end(), random);
                        const bool complement = random() % 2;
                        const MemberTest member({members, is_sorted, complement}, tests, sets);
                        std::vector<std::uint8_t> held(2000);
                        member.test(held, [](std::size_t x) { return static_cast<Entity>(x); });
                        for (Entity x = 0; x < 2000; ++x) {
                            CHECK_EQ(member(x), definition.contains(x) != complement);
                            CHECK_EQ(held[x] != 0, definition.contains(x) != complement);
                        }
                        sets.reset();
                    }
    }
}

TEST(runs_are_united_each_entity_once) {
    SetSpace sets(100);
    const std::vector<Entity> one{1, 5, 64}, other{0, 5, 99}, none;
    const auto united = [&](std::vector<std::span<const Entity>> runs) {
        const EntitySet made = sets.sort(sets.unite(runs));
        return std::vector<Entity>(made.entities.begin(), made.entities.end());
    };
    CHECK_EQ(united({}), none);
    CHECK_EQ(united({none, none}), none);
    CHECK_EQ(united({none, one}), one);
    CHECK_EQ(united({one, none, other, one}), (std::vector<Entity>{0, 1, 5, 64, 99}));
    CHECK_EQ(sets.keep({one}, std::vector<std::uint8_t>{0, 1, 1}.data()).entities.size(), 2);
}

CHECK_MAIN()
