// Shortcuts: look-ups and searches with them find what those without them do.
#include <random>

#include "brute_force.hpp"
#include "check.hpp"
#include "graph/shortcuts.hpp"
#include "queries/entity_set.hpp"
#include "queries/member_test.hpp"
#include "samplers/queries.hpp"

using namespace graphkit;

namespace {

// Runs of any length, some long enough for a sketch: relation 0 leads from entity 0 to most others.
Drawn with_hubs(std::uint64_t entities, unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<Edge> triples;
    for (std::uint64_t i = 0; i < 4 * entities; ++i) {
        const std::int64_t h = random() % 3 ? random() % entities : random() % 2;
        const std::int64_t r = random() % 3 ? random() % 2 : random() % 90;
        const std::int64_t t = random() % entities;
        triples.push_back({h, r, t});
    }
    return build(triples, entities);
}

}  // namespace

TEST(heads_exclude_no_relation_that_an_entity_has_and_most_others) {
    const Drawn drawn = with_hubs(1500, 1);
    auto view = drawn.arrays.view();
    const auto plain = view;
    const Shortcuts shortcuts(plain);
    shortcuts.attach(view);
    std::uint64_t absent = 0, excluded = 0;
    for (std::uint64_t x = 0; x < drawn.entities; ++x) {
        CHECK_EQ(view.first_run(x), plain.first_run(x));
        for (std::uint64_t r = 0; r < 200; ++r) {
            const std::uint64_t run = plain.find_run(x, r);
            CHECK_EQ(view.find_run(x, r), run);
            CHECK(plain.may_have(x, r));
            if (run != plain.kNoRun) CHECK(view.may_have(x, r));
            absent += run == plain.kNoRun;
            excluded += !view.may_have(x, r);
        }
    }
    CHECK_EQ(view.first_run(drawn.entities), plain.first_run(drawn.entities));
    CHECK(2 * excluded > absent);
}

TEST(a_sketch_holds_every_member_and_few_others) {
    const Drawn drawn = with_hubs(20000, 2);
    auto view = drawn.arrays.view();
    const Shortcuts shortcuts(view);
    CHECK(!view.sketch_of(view.run(0)));
    shortcuts.attach(view);
    std::uint64_t sketched = 0, others = 0, passed = 0;
    for (std::uint64_t i = 0; i < view.run_relations.size(); ++i) {
        const auto run = view.run(i);
        const RunSketch sketch = view.sketch_of(run);
        CHECK_EQ(static_cast<bool>(sketch), run.size() >= RunSketch::kFrom);
        if (!sketch) continue;
        ++sketched;
        for (Entity x = 0; x < drawn.entities; ++x) {
            const bool member = std::binary_search(run.begin(), run.end(), x);
            if (member) CHECK(sketch.may_hold(x));
            others += !member;
            passed += !member && sketch.may_hold(x);
        }
    }
    CHECK(sketched >= 4);
    CHECK(50 * passed < others);
}

TEST(members_are_told_by_a_sketch_as_without_one) {
    const Drawn drawn = with_hubs(5000, 3);
    auto view = drawn.arrays.view();
    const Shortcuts shortcuts(view);
    shortcuts.attach(view);
    SetSpace sets(drawn.entities);
    for (std::uint64_t i = 0; i < view.run_relations.size(); ++i) {
        const auto run = view.run(i);
        if (run.size() < RunSketch::kFrom) continue;
        for (const bool complement : {false, true}) {
            EntitySet set = set_of(view, run);
            CHECK(static_cast<bool>(set.sketch));
            set.complement = complement;
            const MemberTest test(set, 1, sets);  // few tests, so that members are searched
            std::vector<std::uint8_t> held(drawn.entities);
            test.test(held, [](std::size_t k) { return static_cast<Entity>(k); });
            for (Entity x = 0; x < drawn.entities; ++x) {
                const bool member = std::binary_search(run.begin(), run.end(), x) != complement;
                CHECK_EQ(test(x), member);
                CHECK_EQ(held[x] != 0, member);
            }
        }
    }
}

TEST(batches_are_the_same_with_shortcuts) {
    const Drawn drawn = with_hubs(3000, 4);
    auto quick = drawn.arrays.view();
    const auto plain = quick;
    const Shortcuts shortcuts(plain);
    shortcuts.attach(quick);
    for (const auto& [name, code] : kCodes) {
        for (const std::uint64_t limit : {16ULL, 1024ULL}) {
            QueryOptions options{.batch_size = 64, .negatives = 32, .mode = Negatives::kOwn};
            options.expansion_limit = limit;
            options.attempts = 1000;
            const QuerySampling sampling(plain, {Program(code, width_of(code))}, options);
            QueryBatch one, other;
            SamplingSpace space(drawn.entities), other_space(drawn.entities);
            for (std::uint64_t number = 0; number < 4; ++number) {
                sampling.fill(plain, number, {}, space, one);
                sampling.fill(quick, number, {}, other_space, other);
                CHECK_EQ(one.failed, QueryBatch::kAllDrawn);
                CHECK_EQ(one.rows, other.rows);
                CHECK_EQ(one.candidates, other.candidates);
                CHECK_EQ(one.counts, other.counts);
                CHECK_EQ(one.counted, other.counted);
                CHECK_EQ(one.mask, other.mask);
                CHECK_EQ(one.outcomes, other.outcomes);
            }
        }
    }
}

CHECK_MAIN()
