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

void SharedCandidates::take(std::span<const std::int64_t> list) {
    members_.clear(entities_);
    members_.begin(list.size());
    sorted_.clear();
    entities_.clear();
    for (std::uint32_t i = 0; i < list.size(); ++i) {
        entities_.push_back(static_cast<Entity>(list[i]));
        sorted_.emplace_back(static_cast<Entity>(list[i]), i);
    }
    for (const Entity x : entities_) members_.insert(x);
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
        if (!members_.contains(answer)) continue;
        auto hit = std::lower_bound(sorted_.begin(), sorted_.end(), std::pair{answer, 0U});
        for (; hit != sorted_.end() && hit->first == answer; ++hit) mask[hit->second] = 0;
    }
}

}  // namespace graphkit
