#include "samplers/negatives.hpp"

#include <algorithm>

#include "machine/vectors.hpp"

namespace graphkit {
namespace {

// An estimate from the number of operations, not measured.
constexpr std::size_t kSharedSearch = 8;  // answers a candidate, from which candidates are looked for among them

}  // namespace

GRAPHKIT_VECTOR_CLONES
bool has_any(std::span<const std::int64_t> row, std::span<const Entity> members) {
    std::uint64_t found = 0;
    for (const Entity member : members)
        for (const std::int64_t x : row) found |= x == static_cast<std::int64_t>(member);
    return found != 0;
}

void draw_ranks(const EntitySet& answers, std::uint64_t num_entities, SplitMix& numbers, SetSpace& sets,
                std::span<std::int64_t> row) {
    const auto sorted = sets.sort(answers).entities;
    for (std::int64_t& negative : row)
        negative = static_cast<std::int64_t>(non_answer(sorted, numbers.below(num_entities - sorted.size())));
}

void draw_own(const EntitySet& answers, std::uint64_t num_entities, const MemberTest& is_answer, SplitMix& numbers,
              SetSpace& sets, std::span<std::int64_t> row) {
    const std::uint64_t non_answers = num_entities - answers.entities.size();
    if (non_answers == 0) {
        std::fill(row.begin(), row.end(), 0);
    } else if (2 * non_answers < num_entities) {
        draw_ranks(answers, num_entities, numbers, sets, row);
    } else {
        numbers.fill_below(num_entities, row);
        const auto compared = is_answer.compared();
        if (compared.empty() || has_any(row, compared)) redraw(is_answer, num_entities, numbers, row);
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
