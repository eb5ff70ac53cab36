#include "samplers/negatives.hpp"

#include <algorithm>

namespace graphkit {
namespace {

// Estimates from the number of operations, not measured.
constexpr std::size_t kCompareUpTo = 8;   // answers that are compared with one by one
constexpr std::size_t kSearchFrom = 4;    // answers a test, from which they are searched rather than marked
constexpr std::size_t kSharedSearch = 8;  // answers a candidate, from which candidates are looked for among them

}  // namespace

AnswerTest::AnswerTest(const EntitySet& answers, std::size_t tests, SetSpace& sets) : answers_(answers.entities) {
    if (answers_.size() <= kCompareUpTo || (tests == 1 && !answers.sorted)) {
        way_ = Way::kCompare;
    } else if (answers.sorted && answers_.size() > kSearchFrom * tests) {
        way_ = Way::kSearch;
    } else {
        marks_ = &sets.mark(answers);
    }
}

bool AnswerTest::operator()(Entity x) const {
    switch (way_) {
        case Way::kCompare:
            return std::find(answers_.begin(), answers_.end(), x) != answers_.end();
        case Way::kSearch:
            return std::binary_search(answers_.begin(), answers_.end(), x);
        case Way::kMark:
            break;
    }
    return marks_->contains(x);
}

bool AnswerTest::any(std::span<const std::int64_t> entities) const {
    if (way_ == Way::kCompare) {
        bool found = false;
        for (const Entity answer : answers_)
            for (const std::int64_t x : entities) found |= x == static_cast<std::int64_t>(answer);
        return found;
    }
    bool found = false;
    for (const std::int64_t x : entities) found |= (*this)(static_cast<Entity>(x));
    return found;
}

void draw_own(const EntitySet& answers, std::uint64_t num_entities, const AnswerTest& is_answer, LaneRandom& random,
              std::span<std::int64_t> row, SetSpace& sets) {
    const std::uint64_t non_answers = num_entities - answers.entities.size();
    SplitMix numbers(random.next());
    if (non_answers == 0) {
        std::fill(row.begin(), row.end(), 0);
    } else if (2 * non_answers < num_entities) {
        const auto sorted = sets.sort(answers).entities;
        for (std::int64_t& negative : row)
            negative = static_cast<std::int64_t>(non_answer(sorted, numbers.below(non_answers)));
    } else {
        for (std::int64_t& negative : row) negative = static_cast<std::int64_t>(numbers.below(num_entities));
        if (!is_answer.any(row)) return;
        for (std::int64_t& negative : row)
            while (is_answer(static_cast<Entity>(negative)))
                negative = static_cast<std::int64_t>(numbers.below(num_entities));
    }
}

void SharedCandidates::draw(LaneRandom random, std::span<std::int64_t> list) {
    marks_.prepare();
    marks_.clear_all(entities_);
    sorted_.clear();
    entities_.clear();
    SplitMix numbers(random.next());
    for (std::uint32_t i = 0; i < list.size(); ++i) {
        const std::uint64_t candidate = numbers.below(num_entities_);
        list[i] = static_cast<std::int64_t>(candidate);
        entities_.push_back(static_cast<Entity>(candidate));
        sorted_.emplace_back(static_cast<Entity>(candidate), i);
    }
    marks_.insert_all(entities_);
    std::sort(sorted_.begin(), sorted_.end());
}

void SharedCandidates::mask(const EntitySet& answers, std::span<std::uint8_t> mask) const {
    std::fill(mask.begin(), mask.end(), 1);
    if (answers.sorted && answers.entities.size() > kSharedSearch * sorted_.size()) {
        for (const auto& [entity, place] : sorted_)
            if (std::binary_search(answers.entities.begin(), answers.entities.end(), entity)) mask[place] = 0;
        return;
    }
    for (const Entity answer : answers.entities) {
        if (!marks_.contains(answer)) continue;
        auto hit = std::lower_bound(sorted_.begin(), sorted_.end(), std::pair{answer, 0U});
        for (; hit != sorted_.end() && hit->first == answer; ++hit) mask[hit->second] = 0;
    }
}

}  // namespace graphkit
