#include "samplers/negatives.hpp"

#include <algorithm>

namespace graphkit {

void draw_own(std::span<const Entity> answers, std::uint64_t num_entities, LaneRandom& random,
              std::span<std::int64_t> row, std::span<std::uint8_t> mask) {
    const std::uint64_t non_answers = num_entities - answers.size();
    std::fill(mask.begin(), mask.end(), non_answers > 0);
    for (std::int64_t& negative : row)
        negative = non_answers > 0 ? static_cast<std::int64_t>(non_answer(answers, random.below(non_answers))) : 0;
}

SharedCandidates draw_shared(std::uint64_t num_entities, LaneRandom random, std::span<std::int64_t> list) {
    SharedCandidates sorted;
    sorted.reserve(list.size());
    for (std::uint32_t i = 0; i < list.size(); ++i) {
        const std::uint64_t candidate = random.below(num_entities);
        list[i] = static_cast<std::int64_t>(candidate);
        sorted.emplace_back(static_cast<Entity>(candidate), i);
    }
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

// From the shorter side.
void mask_shared(std::span<const Entity> answers, const SharedCandidates& sorted, std::span<std::uint8_t> mask) {
    std::fill(mask.begin(), mask.end(), 1);
    if (answers.size() < sorted.size()) {
        for (const Entity answer : answers) {
            auto hit = std::lower_bound(sorted.begin(), sorted.end(), std::pair{answer, 0U});
            for (; hit != sorted.end() && hit->first == answer; ++hit) mask[hit->second] = 0;
        }
    } else {
        for (const auto& [entity, place] : sorted)
            if (std::binary_search(answers.begin(), answers.end(), entity)) mask[place] = 0;
    }
}

}  // namespace graphkit
