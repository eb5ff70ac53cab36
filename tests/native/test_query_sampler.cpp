// Queries: batches are what queries.hpp promises, for many structures and all modes, and philox is what was published.
#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "brute_force.hpp"
#include "check.hpp"
#include "samplers/permutation.hpp"
#include "samplers/philox.hpp"
#include "samplers/queries.hpp"
#include "samplers/stream.hpp"

using namespace graphkit;

namespace {

QuerySampling sampling(const Drawn& graph, const std::vector<std::string>& names, const QueryOptions& options) {
    std::vector<Program> programs;
    for (const auto& name : names) programs.emplace_back(kCodes.at(name), width_of(kCodes.at(name)));
    return {graph.arrays.view(), programs, options};
}

QueryBatch fill(const Drawn& graph, const QuerySampling& source, std::uint64_t number) {
    QueryBatch batch;
    SamplingSpace space(graph.entities);
    source.fill(graph.arrays.view(), number, {}, space, batch);
    return batch;
}

QueryBatch fill(const Drawn& graph, const QueryOptions& options, std::uint64_t number) {
    return fill(graph, sampling(graph, {"1p"}, options), number);
}

void are_equal(const QueryBatch& one, const QueryBatch& other) {
    CHECK_EQ(one.number, other.number);
    CHECK_EQ(one.failed, other.failed);
    CHECK_EQ(one.sizes, other.sizes);
    CHECK_EQ(one.rows, other.rows);
    CHECK_EQ(one.positives, other.positives);
    CHECK_EQ(one.counts, other.counts);
    CHECK_EQ(one.counted, other.counted);
    CHECK_EQ(one.log_probs, other.log_probs);
    CHECK_EQ(one.candidates, other.candidates);
    CHECK_EQ(one.log_weights, other.log_weights);
    CHECK_EQ(one.mask, other.mask);
    CHECK_EQ(one.outcomes, other.outcomes);
}

// Everything that holds for one batch in any mode.
void is_sound(const Drawn& graph, const std::vector<std::string>& names, const QueryOptions& options,
              const QueryBatch& batch) {
    const std::uint64_t size = options.batch_size, width = options.mode == Negatives::kNone ? 0 : options.negatives;
    CHECK_EQ(batch.sizes.size(), names.size());
    CHECK_EQ(batch.outcomes.size(), names.size() * kOutcomes);
    CHECK_EQ(batch.positives.size(), size);
    CHECK_EQ(batch.counts.size(), size);
    CHECK_EQ(batch.log_probs.size(), size);
    CHECK_EQ(batch.candidates.size(), (options.mode == Negatives::kOwn ? size : options.chunks) * width);
    CHECK_EQ(batch.mask.size(), size * width);
    CHECK_EQ(batch.log_weights.size(), options.corruption == Corruption::kUniform ? 0 : batch.candidates.size());
    for (const float log_weight : batch.log_weights) CHECK(std::isfinite(log_weight));
    std::uint64_t lane = 0, place = 0;
    for (std::size_t segment = 0; segment < names.size(); ++segment) {
        const Code& code = kCodes.at(names[segment]);
        CHECK_EQ(batch.outcomes[segment * kOutcomes], batch.sizes[segment]);
        for (std::int64_t i = 0; i < batch.sizes[segment]; ++i, ++lane, place += width_of(code)) {
            const Set known = answers(graph, code, batch.rows.data() + place);
            CHECK(known.contains(batch.positives[lane]));
            if (batch.counted[lane])
                CHECK_EQ(batch.counts[lane], known.size());
            else
                CHECK(batch.counts[lane] >= 0 && batch.counts[lane] < static_cast<std::int64_t>(graph.entities));
            CHECK(batch.log_probs[lane] <= 0);
            if (names[segment] != "1p" && (batch.counted[lane] || options.mode != Negatives::kNone))
                CHECK(known.size() < graph.entities);
            for (std::uint64_t k = 0; k < width; ++k) {
                const std::uint64_t list = options.mode == Negatives::kOwn ? lane : lane * options.chunks / size;
                const std::int64_t candidate = batch.candidates[list * width + k];
                const bool answer = known.contains(candidate);
                CHECK(candidate >= 0 && candidate < static_cast<std::int64_t>(graph.entities));
                // Own negatives are masked in unless there is none; shared candidates wherever they are no answer.
                CHECK_EQ(batch.mask[lane * width + k],
                         options.mode == Negatives::kOwn ? known.size() < graph.entities : !answer);
                if (batch.mask[lane * width + k]) CHECK(!answer);
            }
        }
    }
    CHECK_EQ(lane, size);
    CHECK_EQ(place, batch.rows.size());
}

std::vector<std::string> every_name() {
    std::vector<std::string> names;
    for (const auto& [name, code] : kCodes) names.push_back(name);
    return names;
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

TEST(what_is_filled_in_is_what_stands_there_in_any_epoch) {
    for (const std::uint64_t size : {1ULL, 2ULL, 7ULL, 255ULL, 300ULL, 40'943ULL, 5'000'000'000ULL})
        for (const std::uint64_t count : {0U, 1U, 9U, 256U, 700U})
            for (const std::uint64_t position : {std::uint64_t{0}, size - 1, 3 * size - size / 2}) {
                Epochs filled(size, 7, Permuted::kCandidates, position);
                std::vector<std::int64_t> found(count);
                filled.fill(position, found);
                Epochs single(size, 7, Permuted::kCandidates, 0);
                for (std::uint64_t i = 0; i < count; ++i)
                    CHECK_EQ(static_cast<std::uint64_t>(found[i]), single(position + i));
            }
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

TEST(one_hop_batches_of_random_graphs_are_sound_in_every_mode) {
    for (unsigned seed = 0; seed < 30; ++seed) {
        const Drawn graph = draw_graph(1 + seed % 9, 1 + seed % 3, 1 + seed, seed);
        for (const Negatives mode : {Negatives::kNone, Negatives::kOwn, Negatives::kShared})
            for (std::uint64_t number = 0; number < 3; ++number) {
                const QueryOptions options{.batch_size = 1 + seed % 11, .negatives = 7, .mode = mode, .seed = seed};
                is_sound(graph, {"1p"}, options, fill(graph, options, number));
            }
    }
}

TEST(mixed_batches_of_random_graphs_are_sound_in_every_mode) {
    const std::vector<std::string> names = every_name();
    for (unsigned seed = 0; seed < 8; ++seed) {
        const Drawn graph = draw_graph(12 + seed, 2, 30, seed);
        for (const Negatives mode : {Negatives::kNone, Negatives::kOwn, Negatives::kShared})
            for (const std::uint64_t size : {5, 40})  // less than a query of each structure, and more
                for (const std::uint64_t limit : {0, 3, 1000}) {
                    const QueryOptions options{.batch_size = size,
                                               .negatives = 9,
                                               .chunks = mode == Negatives::kShared ? 1 + seed % 5 : 1,
                                               .mode = mode,
                                               .answers = seed % 2 ? AnswerDraw::kDegree : AnswerDraw::kUniform,
                                               .backtracking = seed % 4 < 2,
                                               .expansion_limit = limit,
                                               .attempts = 100'000,
                                               .seed = seed};
                    const QueryBatch batch = fill(graph, sampling(graph, names, options), seed);
                    CHECK_EQ(batch.failed, QueryBatch::kAllDrawn);
                    is_sound(graph, names, options, batch);
                }
    }
}

TEST(corrupted_batches_of_random_graphs_are_sound) {
    const std::vector<std::string> names = every_name();
    for (unsigned seed = 0; seed < 8; ++seed) {
        const Drawn graph = draw_graph(12 + seed, 2, 30, seed);
        for (const std::uint64_t limit : {0, 3, 1000})
            for (const auto& [mode, corruption] : {std::pair{Negatives::kOwn, Corruption::kDegree},
                                                   {Negatives::kOwn, Corruption::kTyped},
                                                   {Negatives::kShared, Corruption::kDegree}}) {
                const QueryOptions options{.batch_size = 40,
                                           .negatives = 9,
                                           .mode = mode,
                                           .corruption = corruption,
                                           .expansion_limit = limit,
                                           .attempts = 100'000,
                                           .seed = seed};
                const QueryBatch batch = fill(graph, sampling(graph, names, options), seed);
                CHECK_EQ(batch.failed, QueryBatch::kAllDrawn);
                is_sound(graph, names, options, batch);
            }
    }
}

TEST(many_numbers_are_those_drawn_one_by_one_below_any_size) {
    for (const std::uint64_t size : {1ULL, 3ULL, 1000ULL, (1ULL << 32) - 1, 1ULL << 32}) {
        SplitMix one(7), many(7);
        std::vector<std::int64_t> row(50);
        many.fill_below(size, row);
        for (const std::int64_t number : row) CHECK_EQ(static_cast<std::uint64_t>(number), one.below(size));
    }
    SplitMix numbers(7);
    std::uint64_t most = 0;
    for (int i = 0; i < 100; ++i) most = std::max(most, numbers.below(1ULL << 40));
    CHECK(most < 1ULL << 40 && most > 1ULL << 39);  // edges of a graph may be more than 2^32
}

TEST(batches_of_several_blocks_of_lanes_are_sound) {
    const Drawn graph = draw_graph(15, 2, 30, 3);
    const QueryOptions options{
        .batch_size = 1100, .negatives = 2, .mode = Negatives::kOwn, .attempts = 100'000, .seed = 1};
    is_sound(graph, {"2in", "3p"}, options, fill(graph, sampling(graph, {"2in", "3p"}, options), 0));
}

TEST(reused_buffers_and_spaces_give_the_same_batches_as_fresh_ones) {
    const Drawn graph = draw_graph(20, 2, 40, 1);
    const QueryOptions wide{.batch_size = 300,
                            .negatives = 20,
                            .mode = Negatives::kOwn,
                            .backtracking = false,
                            .attempts = 100'000,
                            .seed = 9};
    QueryBatch used;
    SamplingSpace space(graph.entities);
    sampling(graph, every_name(), wide).fill(graph.arrays.view(), 3, {}, space, used);
    // A batch that could not be drawn leaves lanes behind.
    QueryOptions hopeless = wide;
    hopeless.attempts = 1;
    sampling(graph, {"inp"}, hopeless).fill(graph.arrays.view(), 3, {}, space, used);
    CHECK_EQ(used.failed, 0);
    for (const auto& names : {every_name(), {"1p"}, {"2i", "1p", "1p"}})
        for (const Negatives mode : {Negatives::kShared, Negatives::kNone, Negatives::kOwn}) {
            const QueryOptions options{.batch_size = 6, .negatives = 5, .mode = mode, .attempts = 100'000, .seed = 9};
            const QuerySampling source = sampling(graph, names, options);
            source.fill(graph.arrays.view(), 4, {}, space, used);
            are_equal(used, fill(graph, source, 4));
        }
}

TEST(every_epoch_visits_each_directed_edge_once) {
    const Drawn graph = draw_graph(12, 3, 37, 2);
    const std::uint64_t edges = graph.edges.size();
    for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{7}, 3 * edges + 5}) {
        std::vector<Edge> visited;
        for (std::uint64_t number = 0; visited.size() < 3 * edges; ++number) {
            const QueryBatch batch = fill(graph, {.batch_size = size, .seed = 4}, number);
            for (std::uint64_t lane = 0; lane < size; ++lane)
                visited.push_back({batch.rows[2 * lane], batch.rows[2 * lane + 1], batch.positives[lane]});
        }
        for (int epoch = 0; epoch < 3; ++epoch) {
            const auto first = visited.begin() + static_cast<std::ptrdiff_t>(epoch * edges);
            CHECK(std::set<Edge>(first, first + static_cast<std::ptrdiff_t>(edges)) == graph.edges);
        }
    }
}

TEST(one_hop_segments_take_turns_in_the_epochs) {
    const Drawn graph = draw_graph(12, 3, 37, 2);
    const std::uint64_t edges = graph.edges.size();
    // Three queries in a batch, two of them one-hop: after as many batches as edges each edge was visited twice.
    const QuerySampling source = sampling(graph, {"1p", "2i", "1p"}, {.batch_size = 3, .attempts = 100'000, .seed = 4});
    std::map<Edge, int> visits;
    for (std::uint64_t number = 0; number < edges; ++number) {
        const QueryBatch batch = fill(graph, source, number);
        ++visits[{batch.rows[0], batch.rows[1], batch.positives[0]}];
        ++visits[{batch.rows[6], batch.rows[7], batch.positives[2]}];
    }
    CHECK_EQ(visits.size(), edges);
    for (const auto& [edge, count] : visits) CHECK_EQ(count, 2);
}

TEST(own_negatives_reach_every_non_answer_about_equally_often) {
    const Drawn graph = build({{0, 0, 1}, {0, 0, 3}}, 6);
    std::map<std::int64_t, int> counts;
    for (std::uint64_t number = 0; number < 100; ++number) {
        const QueryBatch batch =
            fill(graph, {.batch_size = 4, .negatives = 60, .mode = Negatives::kOwn, .seed = 1}, number);
        for (std::uint64_t lane = 0; lane < 4; ++lane)
            if (batch.rows[2 * lane] == 0)
                for (int k = 0; k < 60; ++k) ++counts[batch.candidates[lane * 60 + k]];
    }
    // 12,000 draws over {0, 2, 4, 5}: 3000 each, with a standard deviation of 47.
    CHECK_EQ(counts.size(), 4);
    CHECK(!counts.contains(1) && !counts.contains(3));
    for (const auto& [entity, count] : counts) CHECK(count > 2800 && count < 3200);
}

TEST(walks_have_the_probability_of_their_choices) {
    // One edge: an answer out of two, and one edge at each hop.
    const Drawn graph = build({{0, 0, 1}}, 2);
    for (const AnswerDraw answers : {AnswerDraw::kUniform, AnswerDraw::kDegree}) {
        const QueryBatch batch =
            fill(graph, sampling(graph, {"3p"}, {.batch_size = 8, .answers = answers, .attempts = 1}), 0);
        CHECK_EQ(batch.failed, QueryBatch::kAllDrawn);
        for (const double log_prob : batch.log_probs) CHECK(std::abs(log_prob - std::log(0.5)) < 1e-12);
    }
}

TEST(a_structure_that_cannot_be_drawn_is_named_with_what_became_of_the_attempts) {
    struct Case {
        std::vector<Edge> triples;
        std::string name;
        bool backtracking;
        Outcome met;
    };
    const std::vector<Edge> complete = {{0, 0, 0}, {0, 0, 1}, {1, 0, 0}, {1, 0, 1}};
    const std::vector<Case> cases = {{{{0, 0, 1}}, "2i", true, Outcome::kRepeated},
                                     {{{0, 0, 1}}, "3p", false, Outcome::kBacktracked},
                                     {complete, "2in", true, Outcome::kRefuted},
                                     {complete, "3p", true, Outcome::kEverything}};
    for (const auto& [triples, name, backtracking, met] : cases) {
        const Drawn graph = build(triples, 2);
        const QuerySampling source = sampling(
            graph, {"1p", name, "1p"}, {.batch_size = 15, .backtracking = backtracking, .attempts = 30, .seed = 2});
        const QueryBatch batch = fill(graph, source, 0);
        CHECK_EQ(batch.failed, 1);
        CHECK_EQ(batch.outcomes[kOutcomes + static_cast<std::size_t>(met)], 30);  // of five queries together
        CHECK_EQ(std::count(batch.outcomes.begin() + kOutcomes, batch.outcomes.begin() + 2 * kOutcomes, 0),
                 kOutcomes - 1);
    }
    const Drawn sparse = build({{0, 0, 1}}, 1000);
    const QueryBatch alone = fill(sparse, sampling(sparse, {"2i"}, {.batch_size = 2, .attempts = 5}), 0);
    CHECK_EQ(alone.failed, 0);
    CHECK(alone.outcomes[static_cast<std::size_t>(Outcome::kDeadEnd)] > 0);
}

TEST(a_stop_ends_a_block_that_would_go_on) {
    std::vector<Edge> complete;
    for (std::int64_t x = 0; x < 20; ++x)
        for (std::int64_t y = 0; y < 20; ++y) complete.push_back({x, 0, y});
    const Drawn graph = build(complete, 20);
    const QuerySampling source = sampling(graph, {"3p"}, {.batch_size = 4, .attempts = 1ULL << 40});
    std::stop_source stop;
    stop.request_stop();
    QueryBatch batch;
    SamplingSpace space(20);
    source.fill(graph.arrays.view(), 0, stop.get_token(), space, batch);
    CHECK_EQ(batch.outcomes[0], 0);
}

TEST(threads_that_share_a_sampler_give_the_batches_of_one) {
    const Drawn graph = draw_graph(30, 2, 80, 5);
    const auto view = graph.arrays.view();
    const QuerySampling source =
        sampling(graph, every_name(),
                 {.batch_size = 50, .negatives = 6, .mode = Negatives::kShared, .attempts = 100'000, .seed = 6});
    for (const unsigned threads : {2U, 3U, 4U}) {
        const auto spaces = std::make_shared<BufferPool<SamplingSpace>>();
        OrderedStream<QueryBatch> stream(
            [&](std::uint64_t number, QueryBatch& out, const std::stop_token& stop) {
                source.fill(view, number, stop, *spaces->take(graph.entities), out);
            },
            threads, 2 * threads, 3);
        for (std::uint64_t number = 3; number < 23; ++number) are_equal(*stream.next(), fill(graph, source, number));
    }
}

CHECK_MAIN()
