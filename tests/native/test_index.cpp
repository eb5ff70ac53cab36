// The index against hand-drawn arrays and against a std::set.
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>

#include "check.hpp"
#include "graph/index.hpp"
#include "machine/resident.hpp"
#include "samplers/edges.hpp"

using namespace graphkit;

namespace {

using Triple = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;
using Rows = std::vector<std::int64_t>;

Triples triples_of(const Rows& rows) { return {rows.data(), rows.size() / 3}; }

Rows random_rows(std::uint64_t count, std::uint64_t entities, std::uint64_t relations, unsigned seed) {
    std::mt19937_64 random(seed);
    Rows rows;
    for (std::uint64_t i = 0; i < count; ++i) {
        rows.push_back(static_cast<std::int64_t>(random() % entities));
        rows.push_back(static_cast<std::int64_t>(random() % relations));
        rows.push_back(static_cast<std::int64_t>(random() % entities));
    }
    return rows;
}

// The definition of directed edges: 2k forward, 2k + 1 back.
std::set<Triple> directed(const Rows& rows) {
    std::set<Triple> edges;
    for (std::size_t i = 0; i < rows.size(); i += 3) {
        const std::uint64_t h = rows[i], r = rows[i + 1], t = rows[i + 2];
        edges.insert({h, 2 * r, t});
        edges.insert({t, 2 * r + 1, h});
    }
    return edges;
}

// Compares every accessor with the set of directed edges.
template <class Rel, class Offset>
void equals_the_set(const Rows& rows, std::uint64_t entities, std::uint64_t relations) {
    const auto built = build_index<Rel, Offset>(triples_of(rows), entities);
    const auto view = built.view();
    check_index(view, 2 * relations);
    const auto edges = directed(rows);
    CHECK_EQ(view.num_entities(), entities);
    CHECK_EQ(view.num_edges(), edges.size());
    std::set<Triple> raw;
    for (std::size_t i = 0; i < rows.size(); i += 3) raw.insert({rows[i], rows[i + 1], rows[i + 2]});
    CHECK_EQ(built.duplicates, rows.size() / 3 - raw.size());

    std::uint64_t e = 0;
    bool ordered = true;
    EdgeDirectory directory;
    directory.build(view);
    for (const auto& [h, r, t] : edges) {  // a set is sorted by (head, relation, tail), and so is the index
        const std::uint64_t run = directory.run_of(view, e);
        ordered = ordered && directory.head_of(view, run) == h && view.run_relations[run] == r && view.targets[e] == t;
        ++e;
    }
    CHECK(ordered);

    std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<Entity>> answers;
    std::map<std::uint64_t, std::uint64_t> degrees;
    for (const auto& [h, r, t] : edges) {
        answers[{h, r}].push_back(static_cast<Entity>(t));
        ++degrees[h];
    }
    bool neighbors = true, degree = true, membership = true;
    std::mt19937_64 random(1);
    for (std::uint64_t x = 0; x < entities; ++x) {
        degree = degree && view.degree(x) == degrees[x];
        for (std::uint64_t r = 0; r < std::min<std::uint64_t>(2 * relations, 64); ++r) {
            const auto found = view.neighbors(x, r);
            const auto expected = answers.find({x, r});
            neighbors = neighbors && (expected == answers.end()
                                          ? found.empty()
                                          : std::vector<Entity>(found.begin(), found.end()) == expected->second);
            const std::uint64_t y = random() % entities;
            membership = membership && view.has_edge(x, r, y) == edges.contains({x, r, y});
        }
    }
    CHECK(neighbors);
    CHECK(degree);
    CHECK(membership);
}

// Ann 0, Bob 1, Cid 2, Dan 3, Eve 4, Fay 5; likes 0, knows 1; drawn in tests/conftest.py.
const Rows kSixNodes = {0, 0, 1, 0, 0, 2, 1, 0, 2, 4, 0, 2, 0, 1, 3, 1, 1, 3, 3, 1, 3};

using Narrow = IndexArrays<std::uint16_t, std::uint32_t>;

Narrow six_nodes() { return build_index<std::uint16_t, std::uint32_t>(triples_of(kSixNodes), 6); }

// What check_index says of an index after `damage`.
template <class Damage>
std::string complaint(Damage damage, std::uint64_t directed_relations = 4) {
    Narrow arrays = six_nodes();
    damage(arrays);
    try {
        check_index(arrays.view(), directed_relations);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "nothing";
}

}  // namespace

TEST(arrays_of_the_drawn_graph_are_exact) {
    const Narrow built = six_nodes();
    CHECK_EQ(built.entity_runs, std::vector<std::uint32_t>{0, 2, 5, 6, 8, 9, 9});
    CHECK_EQ(built.run_relations, std::vector<std::uint16_t>{0, 2, 0, 1, 2, 1, 2, 3, 0});
    CHECK_EQ(built.run_starts, std::vector<std::uint32_t>{0, 2, 3, 4, 5, 6, 9, 10, 13, 14});
    CHECK_EQ(built.targets, std::vector<Entity>{1, 2, 3, 2, 0, 3, 0, 1, 4, 3, 0, 1, 3, 2});
    CHECK_EQ(built.duplicates, 0);
}

TEST(small_random_graphs_equal_a_set) {
    for (unsigned seed = 0; seed < 60; ++seed) {
        const std::uint64_t entities = 1 + seed % 13, relations = 1 + seed % 4;
        equals_the_set<std::uint16_t, std::uint32_t>(random_rows(seed, entities, relations, seed), entities, relations);
    }
}

TEST(all_combinations_of_types_equal_a_set) {
    const Rows rows = random_rows(500, 30, 6, 7);
    equals_the_set<std::uint16_t, std::uint32_t>(rows, 30, 6);
    equals_the_set<std::uint32_t, std::uint32_t>(rows, 30, 6);
    equals_the_set<std::uint16_t, std::uint64_t>(rows, 30, 6);
    equals_the_set<std::uint32_t, std::uint64_t>(rows, 30, 6);
}

TEST(slices_long_enough_for_the_radix_sort_equal_a_set) {
    // A hub: every triple starts or ends at entity 0, so that its slice holds far more than 2048 keys.
    Rows rows = random_rows(9000, 5000, 20, 3);
    for (std::size_t i = 0; i < rows.size(); i += 3) rows[i + (i % 2 == 0 ? 0 : 2)] = 0;
    equals_the_set<std::uint16_t, std::uint32_t>(rows, 5000, 20);
    // Ids of more than two bytes on both sides of the key, and an odd number of passes.
    for (std::size_t i = 0; i < rows.size(); i += 3) rows[i + 2] = rows[i + 2] * 13 % 70'000;
    equals_the_set<std::uint32_t, std::uint64_t>(rows, 70'000, 20);
    for (std::size_t i = 0; i < rows.size(); i += 3) rows[i + 1] = rows[i + 1] * 4'000;
    equals_the_set<std::uint32_t, std::uint32_t>(rows, 70'000, 80'000);
}

TEST(equal_keys_in_a_long_slice_collapse_to_one_edge) {
    Rows rows;
    for (int i = 0; i < 5000; ++i) rows.insert(rows.end(), {2, 1, 2});
    equals_the_set<std::uint16_t, std::uint32_t>(rows, 3, 2);
}

TEST(a_graph_without_triples_is_an_index_without_edges) { equals_the_set<std::uint16_t, std::uint32_t>({}, 5, 1); }

TEST(the_highest_relation_of_each_width_is_kept) {
    const Rows narrow = {0, 32'767, 1}, wide = {0, 2'147'483'646, 1};
    CHECK_EQ((build_index<std::uint16_t, std::uint32_t>(triples_of(narrow), 2).run_relations),
             std::vector<std::uint16_t>{65'534, 65'535});
    CHECK_EQ((build_index<std::uint32_t, std::uint32_t>(triples_of(wide), 2).run_relations),
             std::vector<std::uint32_t>{4'294'967'292U, 4'294'967'293U});
}

TEST(the_first_bad_row_is_found) {
    CHECK_EQ(first_bad_row(triples_of(kSixNodes), 6, 2), 7);
    CHECK_EQ(first_bad_row(triples_of(kSixNodes), 6, 1), 4);
    CHECK_EQ(first_bad_row(triples_of(kSixNodes), 4, 2), 3);
    const Rows negative = {0, 0, 0, 0, -1, 0};
    CHECK_EQ(first_bad_row(triples_of(negative), 1, 1), 1);
    CHECK_EQ(first_bad_row(triples_of({}), 1, 1), 0);
}

TEST(check_accepts_a_sound_index_and_names_each_kind_of_damage) {
    CHECK_EQ(complaint([](Narrow&) {}), "nothing");
    CHECK_EQ(complaint([](Narrow& a) { a.entity_runs.clear(); }), "array lengths disagree");
    CHECK_EQ(complaint([](Narrow& a) { a.run_starts.pop_back(); }), "array lengths disagree");
    CHECK_EQ(complaint([](Narrow& a) { a.entity_runs.front() = 1; }), "entity_runs has bad ends");
    CHECK_EQ(complaint([](Narrow& a) { a.entity_runs.back() = 8; }), "entity_runs has bad ends");
    CHECK_EQ(complaint([](Narrow& a) { a.run_starts.front() = 1; }), "run_starts has bad ends");
    CHECK_EQ(complaint([](Narrow& a) { a.targets.pop_back(); }), "run_starts has bad ends");
    CHECK_EQ(complaint([](Narrow& a) { a.entity_runs[2] = 1; }), "entity_runs is not ascending");
    CHECK_EQ(complaint([](Narrow& a) { a.entity_runs[2] = 4'000'000'000U; }), "entity_runs is not ascending");
    CHECK_EQ(complaint([](Narrow& a) { a.run_starts[3] = a.run_starts[2]; }), "run_starts is not strictly ascending");
    CHECK_EQ(complaint([](Narrow& a) { a.run_relations[5] = 4; }), "a run names a relation out of range");
    CHECK_EQ(complaint([](Narrow&) {}, 3), "a run names a relation out of range");
    CHECK_EQ(complaint([](Narrow& a) { a.targets[13] = 6; }), "an edge names an entity out of range");
}

TEST(resident_pages_hold_what_is_written_and_may_be_empty) {
    const ResidentPages pages(5'000'000), none(0);
    auto* bytes = static_cast<unsigned char*>(pages.data());
    bytes[0] = 1;
    bytes[4'999'999] = 2;
    CHECK_EQ(bytes[0] + bytes[4'999'999], 3);
    CHECK_EQ(bytes[2'500'000], 0);
    CHECK(none.data() != nullptr);
}

CHECK_MAIN()
