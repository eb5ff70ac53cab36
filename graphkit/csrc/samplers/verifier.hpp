// Decides whether a drawn query stands, and writes its part of the batch: the answer, how many there are, negatives.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "queries/block_answers.hpp"
#include "queries/executor.hpp"
#include "samplers/block.hpp"
#include "samplers/query_batch.hpp"

namespace graphkit {

class Verifier {
  public:
    Verifier(const QueryOptions& options, std::uint64_t num_entities, SamplingSpace& space, QueryBatch& out)
        : options_(options), num_entities_(num_entities), space_(space), out_(out) {}

    // A query whose answers are listed. `refutable` says whether the positive may be none of them.
    Outcome accept(const EntitySet& answers, Entity positive, bool refutable, std::uint64_t lane, LaneRandom& random) {
        SetSpace& sets = space_.answers.sets;
        if (options_.mode == Negatives::kOwn) {
            const MemberTest is_answer(answers, 1 + options_.negatives, sets);
            if (refutable && !is_answer(positive)) return Outcome::kRefuted;
            SplitMix numbers(random.next());
            draw_own(answers, num_entities_, is_answer, numbers, sets, row(lane));
            std::ranges::fill(mask(lane), answers.entities.size() < num_entities_);
        } else {
            if (refutable && !MemberTest(answers, 1, sets)(positive)) return Outcome::kRefuted;
            if (options_.mode == Negatives::kShared) space_.shared.mask(answers, mask(lane));
        }
        return write(positive, answers.entities.size(), true, lane);
    }

    // The query in lane `place` of a block.
    template <class Rel, class Offset>
    Outcome accept(BlockAnswers<Rel, Offset>& answers, std::uint32_t place, Entity positive, std::uint64_t lane,
                   LaneRandom& random) {
        if (!answers.listed(place)) return accept_untold(answers, place, positive, lane, random);
        const EntitySet& all = answers.answers(place);
        if (all.entities.size() == num_entities_) return Outcome::kEverything;
        return accept(all, positive, answers.refutable(), lane, random);
    }

  private:
    // Draws of one negative in a row that are answers, before all answers are listed after all.
    static constexpr int kPatience = 64;

    // A query whose answers are not listed: they are tested one by one.
    template <class Answers>
    Outcome accept_untold(Answers& answers, std::uint32_t place, Entity positive, std::uint64_t lane,
                          LaneRandom& random) {
        if (answers.refutable() && !test(answers, place, std::span(&positive, 1))[0]) return Outcome::kRefuted;
        std::uint64_t known = 0;  // answers, when they were listed after all
        if (options_.mode == Negatives::kOwn) {
            SplitMix numbers(random.next());
            known = draw_untold(answers, place, numbers, row(lane));
            std::ranges::fill(mask(lane), 1);
        } else if (options_.mode == Negatives::kShared) {
            const auto held = test(answers, place, space_.shared.entities());
            std::ranges::transform(held, mask(lane).begin(), [](std::uint8_t answer) { return answer == 0; });
            if (std::ranges::all_of(held, [](std::uint8_t answer) { return answer != 0; }))
                known = answers.list_all(place, space_.all_answers).entities.size();
        }
        if (known == num_entities_) return Outcome::kEverything;
        return write(positive, known > 0 ? known : options_.expansion_limit, known > 0, lane);
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

    // Fills `row` with non-answers, as draw_own does, and returns the number of answers where all had to be listed.
    template <class Answers>
    std::uint64_t draw_untold(Answers& answers, std::uint32_t place, SplitMix& numbers, std::span<std::int64_t> row) {
        numbers.fill_below(num_entities_, row);
        const auto held = test(answers, place, row);
        space_.hits.clear();
        for (std::uint32_t k = 0; k < held.size(); ++k)
            if (held[k]) space_.hits.push_back(k);
        for (const std::uint32_t k : space_.hits) {
            int patience = kPatience;
            do {
                if (patience-- == 0) {
                    const EntitySet all = answers.list_all(place, space_.all_answers);
                    go_on(all, numbers, row.subspan(k));
                    return all.entities.size();
                }
                row[k] = static_cast<std::int64_t>(numbers.below(num_entities_));
            } while (test(answers, place, row.subspan(k, 1))[0]);
        }
        return 0;
    }

    // Draws those of `row` that are answers again, or all of them by rank where most entities are answers.
    void go_on(const EntitySet& all, SplitMix& numbers, std::span<std::int64_t> row) {
        SetSpace& sets = space_.all_answers.sets;
        const std::uint64_t non_answers = num_entities_ - all.entities.size();
        if (2 * non_answers < num_entities_) {
            if (non_answers > 0) draw_ranks(all, num_entities_, numbers, sets, row);
        } else {
            redraw(MemberTest(all, row.size(), sets), num_entities_, numbers, row);
        }
    }

    const QueryOptions& options_;
    std::uint64_t num_entities_;
    SamplingSpace& space_;
    QueryBatch& out_;
};

}  // namespace graphkit
