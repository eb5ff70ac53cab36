// Decides whether a drawn query stands, and writes its part of the batch: the answer, how many there are, negatives.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "queries/block_answers.hpp"
#include "queries/executor.hpp"
#include "samplers/block.hpp"
#include "samplers/permutation.hpp"
#include "samplers/query_batch.hpp"

namespace graphkit {

template <class Rel, class Offset>
class Verifier {
  public:
    Verifier(const IndexView<Rel, Offset>& graph, const QueryOptions& options, const CorruptionTables& tables,
             SamplingSpace& space, QueryBatch& out)
        : graph_(graph),
          options_(options),
          num_entities_(graph.num_entities()),
          bounded_(options.min_answers > 1 || options.max_answers < num_entities_),
          corruption_(graph, tables, space.corruption),
          space_(space),
          out_(out) {}

    // Draws the candidates of the batch, where it has some: before any query is accepted. Without replacement, so that
    // over an epoch all entities have had the same share, or all edges.
    void draw_shared() {
        if (options_.mode != Negatives::kShared) return;
        const bool uniform = corruption_.uniform();
        const std::uint64_t position = out_.number * out_.candidates.size();
        Epochs(uniform ? num_entities_ : graph_.num_edges(), options_.seed, Permuted::kCandidates, position)
            .fill(position, out_.candidates);
        if (uniform) return;
        const auto end = [&](std::int64_t edge) { return &graph_.targets[static_cast<std::uint64_t>(edge)]; };
        for (const std::int64_t edge : out_.candidates) __builtin_prefetch(end(edge));
        for (std::int64_t& candidate : out_.candidates) candidate = static_cast<std::int64_t>(*end(candidate));
        corruption_.weigh(out_.candidates, out_.log_weights);
    }

    // Turns to the query that is accepted next, see CorruptionDraw.
    void turn_to(const std::int64_t* ids, std::span<const std::uint32_t> leading) { corruption_.turn_to(ids, leading); }

    // A query whose answers are listed, in the memory of `sets` or of the index. `refutable` says whether the positive
    // may be none of them.
    Outcome accept(const EntitySet& answers, SetSpace& sets, Entity positive, bool refutable, std::uint64_t lane,
                   LaneRandom& random) {
        if (options_.mode == Negatives::kOwn) {
            const MemberTest is_answer(answers, 1 + options_.negatives, sets);
            if (refutable && !is_answer(positive)) return Outcome::kRefuted;
            const auto row = this->row(lane);
            SplitMix numbers(random.next());
            const auto keep = [&](Hits& hits) {
                space_.held.resize(hits.size());
                is_answer.test(space_.held, [&](std::size_t i) { return static_cast<Entity>(row[hits[i]]); });
                keep_held(hits);
            };
            if (!corrupt(lane, numbers, keep)) {
                numbers.fill_below(num_entities_, row);
                const auto compared = is_answer.compared();
                if (compared.empty() || has_any(row, compared)) {
                    find_hits(row.size(), keep);
                    redraw(row, numbers, sets, keep, [&](int) { return &answers; });
                }
            }
            std::ranges::fill(mask(lane), answers.entities.size() < num_entities_);
        } else {
            if (refutable && !MemberTest(answers, 1, sets)(positive)) return Outcome::kRefuted;
            if (options_.mode == Negatives::kShared) shared_of(lane).mask(answers, mask(lane));
        }
        return write(positive, answers.entities.size(), true, lane);
    }

    // The query in lane `place` of a block.
    Outcome accept(BlockAnswers<Rel, Offset>& answers, std::uint32_t place, Entity positive, std::uint64_t lane,
                   LaneRandom& random) {
        const bool listed = answers.listed(place);
        if (!listed && !bounded_) return accept_untold(answers, place, positive, lane, random);
        const EntitySet all = listed ? answers.answers(place) : answers.list_all(place, space_.all_answers);
        const std::uint64_t count = all.entities.size();
        if (count == num_entities_) return Outcome::kEverything;
        if (bounded_ && (count < options_.min_answers || count > options_.max_answers)) return Outcome::kOutOfBounds;
        SetSpace& sets = listed ? space_.answers.sets : space_.all_answers.sets;
        return accept(all, sets, positive, answers.refutable(), lane, random);
    }

  private:
    // Rounds in which negatives that are answers are drawn again, before all answers are listed after all; or before
    // the negatives of the query are drawn uniformly, where they are not anyway.
    static constexpr int kPatience = 64;
    // Queries of a chunk that are tested by all candidates, before these are grouped by their relations. Grouping takes
    // as long as what it spares some five queries (syn10m, 2,048 candidates).
    static constexpr std::uint64_t kUngrouped = 4;
    using Hits = std::vector<std::uint32_t>;  // places of a row

    // A query whose answers are not listed: they are tested one by one.
    template <class Answers>
    Outcome accept_untold(Answers& answers, std::uint32_t place, Entity positive, std::uint64_t lane,
                          LaneRandom& random) {
        if (answers.refutable() && !test(answers, place, std::span(&positive, 1))[0]) return Outcome::kRefuted;
        std::uint64_t known = 0;  // answers, when they were listed after all
        double answered = 0;      // of as many draws as there are negatives, each by its weight
        if (options_.mode == Negatives::kOwn) {
            const auto row = this->row(lane);
            SplitMix numbers(random.next());
            const auto keep = [&](Hits& places) { keep_answers(answers, place, row, places); };
            EntitySet all;
            const auto know = [&](int round) -> const EntitySet* {
                if (round == kPatience) {
                    all = answers.list_all(place, space_.all_answers);
                    known = all.entities.size();
                }
                return known > 0 ? &all : nullptr;
            };
            if (!corrupt(lane, numbers, keep, &answered)) {
                numbers.fill_below(num_entities_, row);
                answered = static_cast<double>(find_hits(row.size(), keep));
                redraw(row, numbers, space_.all_answers.sets, keep, know);
            }
            std::ranges::fill(mask(lane), 1);
        } else if (options_.mode == Negatives::kShared) {
            const auto held = test_shared(answers, place, lane);
            std::ranges::transform(held, mask(lane).begin(), [](std::uint8_t answer) { return answer == 0; });
            const auto hits = static_cast<std::size_t>(std::ranges::count(held, 1));
            if (corruption_.uniform()) answered = static_cast<double>(hits);
            for (std::size_t k = 0; k < held.size() && !corruption_.uniform(); ++k)
                if (held[k]) answered += corruption_.weight(space_.shared.entities()[k]);
            if (hits == held.size()) known = answers.list_all(place, space_.all_answers).entities.size();
        }
        if (known == num_entities_) return Outcome::kEverything;
        if (known > 0) return write(positive, known, true, lane);
        // An estimate, which leaves room for what is no answer.
        const std::uint64_t estimate = std::max(estimated(answered), options_.expansion_limit);
        return write(positive, std::min(estimate, num_entities_ - 1), false, lane);
    }

    // The candidates of the chunk of a lane.
    const SharedCandidates& shared_of(std::uint64_t lane) {
        const std::uint64_t chunk = lane * options_.chunks / options_.batch_size;
        if (chunk != chunk_) {
            chunk_ = chunk;
            untold_ = 0;
            space_.shared.take(std::span(out_.candidates).subspan(chunk * options_.negatives, options_.negatives));
        }
        return space_.shared;
    }

    // Answers of a query by what was answered of the first draws, each by its weight.
    std::uint64_t estimated(double answered) const {
        if (options_.negatives == 0) return 0;
        if (options_.corruption == Corruption::kUniform)
            return static_cast<std::uint64_t>(answered) * num_entities_ / options_.negatives;
        return static_cast<std::uint64_t>(answered * static_cast<double>(num_entities_) /
                                          static_cast<double>(options_.negatives));
    }

    std::span<std::int64_t> row(std::uint64_t lane) {
        return std::span(out_.candidates).subspan(lane * options_.negatives, options_.negatives);
    }
    std::span<std::uint8_t> mask(std::uint64_t lane) {
        return std::span(out_.mask).subspan(lane * options_.negatives, options_.negatives);
    }

    Outcome write(Entity positive, std::uint64_t count, bool counted, std::uint64_t lane) {
        out_.positives[lane] = static_cast<std::int64_t>(positive);
        out_.counts[lane] = static_cast<std::int64_t>(count);
        out_.counted[lane] = counted;
        return Outcome::kDrawn;
    }

    template <class Answers, class Id>
    std::span<const std::uint8_t> test(Answers& answers, std::uint32_t place, std::span<Id> entities) {
        space_.asked.clear();
        for (const auto x : entities) space_.asked.push_back({static_cast<Entity>(x), place});
        space_.held.resize(space_.asked.size());
        answers.test(space_.asked, space_.held);
        return space_.held;
    }

    // Says of each candidate of the chunk whether it answers a query: none does that lacks the inverse of the relation
    // that leads to the answers, as most do.
    template <class Answers>
    std::span<const std::uint8_t> test_shared(Answers& answers, std::uint32_t place, std::uint64_t lane) {
        const auto entities = shared_of(lane).entities();
        if (!answers.ends_in_hop() || ++untold_ <= kUngrouped) return test(answers, place, entities);
        if (untold_ == kUngrouped + 1) space_.shared.group(graph_);
        const auto having = space_.shared.having(answers.last_relation(place) ^ 1);
        space_.asked.clear();
        for (const std::uint32_t k : having) space_.asked.push_back({entities[k], place});
        space_.tested.resize(having.size());
        answers.test(space_.asked, space_.tested);
        space_.held.assign(entities.size(), 0);
        for (std::size_t i = 0; i < having.size(); ++i) space_.held[having[i]] = space_.tested[i];
        return space_.held;
    }

    // All places of a row, in `hits`.
    Hits& all_places(std::size_t size) {
        space_.hits.resize(size);
        std::iota(space_.hits.begin(), space_.hits.end(), 0U);
        return space_.hits;
    }

    // The places of a row that hold answers, which `keep` leaves over; returns their number.
    template <class Keep>
    std::size_t find_hits(std::size_t size, Keep keep) {
        keep(all_places(size));
        return space_.hits.size();
    }

    // Draws the negatives of a lane otherwise than uniformly, and weighs them. False, and weights of 1, where they are
    // to be drawn uniformly: by the options, or because an answer was drawn again and again. That no answer was says
    // nothing of what was drawn instead, so that the weights are those of the draw in either case. `answered` gets the
    // weights of the answers that were drawn first.
    template <class Keep>
    bool corrupt(std::uint64_t lane, SplitMix& numbers, Keep keep, double* answered = nullptr) {
        if (options_.corruption == Corruption::kUniform) return false;
        const auto log_weights = std::span(out_.log_weights).subspan(lane * options_.negatives, options_.negatives);
        if (!corruption_.uniform()) {
            const auto row = this->row(lane);
            Hits& hits = all_places(row.size());
            corruption_.draw(row, hits, numbers);
            keep(hits);
            for (std::size_t i = 0; answered != nullptr && i < hits.size(); ++i)
                *answered += corruption_.weight(static_cast<std::uint64_t>(row[hits[i]]));
            for (int round = 0; round < kPatience && !hits.empty(); ++round) {
                corruption_.draw(row, hits, numbers);
                keep(hits);
            }
            if (hits.empty()) {
                corruption_.weigh(row, log_weights);
                return true;
            }
        }
        std::ranges::fill(log_weights, 0.0F);
        return false;
    }

    // Draws those entities of a row that are answers again, round by round; or by their rank among those that are none,
    // when it is known that most are answers. `keep` drops the places of other entities, and `know` gives all answers
    // from the round on in which they are known.
    template <class Keep, class Know>
    void redraw(std::span<std::int64_t> row, SplitMix& numbers, SetSpace& sets, Keep keep, Know know) {
        Hits& hits = space_.hits;
        for (int round = 0; !hits.empty(); ++round) {
            const EntitySet* known = know(round);
            if (known != nullptr && 2 * known->entities.size() > num_entities_) {
                rank(row, sets.sort(*known).entities, numbers);
                break;
            }
            for (const std::uint32_t k : hits) row[k] = static_cast<std::int64_t>(numbers.below(num_entities_));
            keep(hits);
        }
    }

    // Draws ranks among the entities that are no answers for the hits of a row; 0 where there are none.
    void rank(std::span<std::int64_t> row, std::span<const Entity> answers, SplitMix& numbers) {
        const std::uint64_t others = num_entities_ - answers.size();
        for (const std::uint32_t k : space_.hits)
            row[k] = others == 0 ? 0 : static_cast<std::int64_t>(non_answer(answers, numbers.below(others)));
    }

    // Drops the hits of a row that are no answers.
    template <class Answers>
    void keep_answers(Answers& answers, std::uint32_t place, std::span<const std::int64_t> row, Hits& hits) {
        space_.redrawn.clear();
        for (const std::uint32_t k : hits) space_.redrawn.push_back(static_cast<Entity>(row[k]));
        test(answers, place, std::span<const Entity>(space_.redrawn));
        keep_held(hits);
    }

    // Drops the hits that are not held.
    void keep_held(Hits& hits) const {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < hits.size(); ++i) {
            hits[kept] = hits[i];
            kept += space_.held[i];
        }
        hits.resize(kept);
    }

    const IndexView<Rel, Offset>& graph_;
    const QueryOptions& options_;
    std::uint64_t num_entities_;
    bool bounded_;  // whether the number of answers decides
    CorruptionDraw<Rel, Offset> corruption_;
    std::uint64_t untold_ = 0;  // queries of the chunk of which candidates were tested
    SamplingSpace& space_;
    QueryBatch& out_;
    std::uint64_t chunk_ = std::numeric_limits<std::uint64_t>::max();  // whose candidates were taken last
};

}  // namespace graphkit
