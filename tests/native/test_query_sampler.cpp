// Links: batches are what links.hpp promises, for all modes, and philox is what was published.
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "check.hpp"
#include "samplers/links.hpp"
#include "samplers/permutation.hpp"
#include "samplers/philox.hpp"

using namespace graphkit;

namespace {

using Edge = std::tuple<std::int64_t, std::int64_t, std::int64_t>;

struct Drawn {
    IndexArrays<std::uint16_t, std::uint32_t> arrays;
    std::uint64_t entities;
    std::set<Edge> edges;  // directed
};

Drawn draw_graph(std::uint64_t entities, std::uint64_t relations, std::uint64_t count, unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<std::int64_t> rows;
    std::set<Edge> edges;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::int64_t h = random() % entities, r = random() % relations, t = random() % entities;
        rows.insert(rows.end(), {h, r, t});
        edges.insert({h, 2 * r, t});
        edges.insert({t, 2 * r + 1, h});
    }
    return {build_index<std::uint16_t, std::uint32_t>({rows.data(), count}, entities), entities, edges};
}

LinkBatch fill(const Drawn& graph, const LinkOptions& options, std::uint64_t number) {
    LinkBatch batch;
    fill_links(graph.arrays.view(), options, number, batch);
    return batch;
}

// Everything that holds for one batch in any mode.
void is_sound(const Drawn& graph, const LinkOptions& options, const LinkBatch& batch) {
    const std::uint64_t size = options.batch_size, width = options.mode == Negatives::kNone ? 0 : options.negatives;
    CHECK_EQ(batch.queries.size(), 2 * size);
    CHECK_EQ(batch.positives.size(), size);
    CHECK_EQ(batch.counts.size(), size);
    CHECK_EQ(batch.candidates.size(), options.mode == Negatives::kOwn ? size * width : width);
    CHECK_EQ(batch.mask.size(), size * width);
    for (std::uint64_t lane = 0; lane < size; ++lane) {
        const std::int64_t head = batch.queries[2 * lane], relation = batch.queries[2 * lane + 1];
        CHECK(graph.edges.contains({head, relation, batch.positives[lane]}));
        std::uint64_t answers = 0;
        for (std::uint64_t y = 0; y < graph.entities; ++y)
            answers += graph.edges.contains({head, relation, static_cast<std::int64_t>(y)});
        CHECK_EQ(batch.counts[lane], answers);
        for (std::uint64_t k = 0; k < width; ++k) {
            const std::int64_t candidate = batch.candidates[options.mode == Negatives::kOwn ? lane * width + k : k];
            const bool answer = graph.edges.contains({head, relation, candidate});
            CHECK(candidate >= 0 && candidate < static_cast<std::int64_t>(graph.entities));
            // Own negatives are masked in unless there is none; shared candidates wherever they are no answer.
            CHECK_EQ(batch.mask[lane * width + k],
                     options.mode == Negatives::kOwn ? answers < graph.entities : !answer);
            if (batch.mask[lane * width + k]) CHECK(!answer);
        }
    }
}

}  // namespace

TEST(philox_gives_the_published_numbers) {
    // The known-answer tests of Random123, counter and key words from the lowest.
    CHECK_EQ(philox({0, 0, 0, 0}, 0), PhiloxBlock{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
    CHECK_EQ(philox({~0U, ~0U, ~0U, ~0U}, ~0ULL), PhiloxBlock{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
    CHECK_EQ(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, 0x299F31D0A4093822ULL),
             PhiloxBlock{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

TEST(draws_stay_below_their_bound) {
    LaneRandom random(1, 2, 3);
    for (const std::uint64_t size : {1ULL, 2ULL, 3ULL, 1ULL << 32, ~0ULL})
        for (int i = 0; i < 100; ++i) CHECK(random.below(size) < size);
}

TEST(epochs_are_permutations_of_their_own) {
    for (std::uint64_t size = 1; size <= 300; ++size) {
        std::set<std::uint64_t> images;
        const EpochPermutation order(size, 5, size % 3);
        for (std::uint64_t i = 0; i < size; ++i) images.insert(order(i));
        CHECK_EQ(images.size(), size);
        CHECK_EQ(*images.rbegin(), size - 1);
    }
    const EpochPermutation one(1'000'003, 5, 0), other(1'000'003, 5, 1ULL << 32);
    int same = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) same += one(i) == other(i);
    CHECK(same < 5);
}

TEST(the_rank_among_non_answers_is_exact) {
    const std::vector<Entity> answers = {0, 1, 4, 7, 8, 9};
    std::vector<std::uint64_t> found;
    for (std::uint64_t u = 0; u < 6; ++u) found.push_back(non_answer(answers, u));
    CHECK_EQ(found, std::vector<std::uint64_t>{2, 3, 5, 6, 10, 11});
    CHECK_EQ(non_answer({}, 5), 5);
    for (unsigned subset = 0; subset < 256; ++subset) {  // every set of answers among eight entities
        std::vector<Entity> some;
        std::vector<std::uint64_t> rest;
        for (unsigned x = 0; x < 8; ++x) subset >> x & 1 ? some.push_back(x) : rest.push_back(x);
        for (std::size_t u = 0; u < rest.size(); ++u) CHECK_EQ(non_answer(some, u), rest[u]);
    }
}

TEST(batches_of_random_graphs_are_sound_in_every_mode) {
    for (unsigned seed = 0; seed < 30; ++seed) {
        const Drawn graph = draw_graph(1 + seed % 9, 1 + seed % 3, 1 + seed, seed);
        for (const Negatives mode : {Negatives::kNone, Negatives::kOwn, Negatives::kShared})
            for (std::uint64_t number = 0; number < 3; ++number) {
                const LinkOptions options{1 + seed % 11, 1 + seed % 14, mode, seed};
                is_sound(graph, options, fill(graph, options, number));
            }
    }
}

TEST(a_reused_buffer_gives_the_same_batch_as_a_fresh_one) {
    const Drawn graph = draw_graph(20, 2, 40, 1);
    LinkBatch used;
    fill_links(graph.arrays.view(), {50, 70, Negatives::kOwn, 9}, 3, used);
    const LinkOptions options{6, 5, Negatives::kShared, 9};
    fill_links(graph.arrays.view(), options, 4, used);
    const LinkBatch fresh = fill(graph, options, 4);
    CHECK_EQ(used.number, 4);
    CHECK_EQ(used.queries, fresh.queries);
    CHECK_EQ(used.positives, fresh.positives);
    CHECK_EQ(used.counts, fresh.counts);
    CHECK_EQ(used.candidates, fresh.candidates);
    CHECK_EQ(used.mask, fresh.mask);
}

TEST(every_epoch_visits_each_directed_edge_once) {
    const Drawn graph = draw_graph(12, 3, 37, 2);
    const std::uint64_t edges = graph.edges.size();
    for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{7}, 3 * edges + 5}) {
        std::vector<Edge> visited;
        for (std::uint64_t number = 0; visited.size() < 3 * edges; ++number) {
            const LinkBatch batch = fill(graph, {size, 0, Negatives::kNone, 4}, number);
            for (std::uint64_t lane = 0; lane < size; ++lane)
                visited.push_back({batch.queries[2 * lane], batch.queries[2 * lane + 1], batch.positives[lane]});
        }
        for (int epoch = 0; epoch < 3; ++epoch) {
            const auto first = visited.begin() + static_cast<std::ptrdiff_t>(epoch * edges);
            CHECK(std::set<Edge>(first, first + static_cast<std::ptrdiff_t>(edges)) == graph.edges);
        }
    }
}

TEST(own_negatives_reach_every_non_answer_about_equally_often) {
    const std::vector<std::int64_t> rows = {0, 0, 1, 0, 0, 3};
    const Drawn graph{build_index<std::uint16_t, std::uint32_t>({rows.data(), 2}, 6), 6, {}};
    std::map<std::int64_t, int> counts;
    for (std::uint64_t number = 0; number < 100; ++number) {
        const LinkBatch batch = fill(graph, {4, 60, Negatives::kOwn, 1}, number);
        for (std::uint64_t lane = 0; lane < 4; ++lane)
            if (batch.queries[2 * lane] == 0)
                for (int k = 0; k < 60; ++k) ++counts[batch.candidates[lane * 60 + k]];
    }
    // 12,000 draws over {0, 2, 4, 5}: 3000 each, with a standard deviation of 47.
    CHECK_EQ(counts.size(), 4);
    CHECK(!counts.contains(1) && !counts.contains(3));
    for (const auto& [entity, count] : counts) CHECK(count > 2800 && count < 3200);
}

CHECK_MAIN()
