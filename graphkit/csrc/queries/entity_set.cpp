#include "queries/entity_set.hpp"

#include <bit>

#include "queries/run_search.hpp"

namespace graphkit {
namespace {

// Both are estimates from the number of operations, not measured. The longer list is searched for each entity of the
// shorter one beyond this ratio of lengths, and its members are set up below it.
constexpr std::size_t kSearchFrom = 16;
// From a share of 1 in so many entities on, a bit for each entity is read in order instead of sorting.
constexpr std::uint64_t kDrainFrom = 512;

struct Parts {
    std::vector<const EntitySet*> plain, complements;  // the shortest first
};

Parts separate(std::span<EntitySet> sets) {
    Parts parts;
    for (EntitySet& set : sets) (set.complement ? parts.complements : parts.plain).push_back(&set);
    const auto shorter = [](const EntitySet* a, const EntitySet* b) { return a->entities.size() < b->entities.size(); };
    std::stable_sort(parts.plain.begin(), parts.plain.end(), shorter);
    std::stable_sort(parts.complements.begin(), parts.complements.end(), shorter);
    return parts;
}

}  // namespace

void Marks::drain(std::span<Entity> out) {
    auto to = out.begin();
    for (std::size_t i = 0; to != out.end(); ++i) {
        for (std::uint64_t word = bits_[i]; word != 0; word &= word - 1)
            *to++ = static_cast<Entity>(64 * i + static_cast<unsigned>(std::countr_zero(word)));
        bits_[i] = 0;
    }
}

// Keeps the entities whose membership in the set is `wanted`, in their order.
void SetSpace::filter(std::vector<Entity>& kept, const EntitySet& set, bool wanted) {
    const auto list = set.entities;
    if (set.sorted && list.size() > kSearchFrom * kept.size()) {
        const RunSearch in_list(set);
        for (const Entity x : kept) in_list.fetch(x);
        std::erase_if(kept, [&](Entity x) { return in_list(x) != wanted; });
        return;
    }
    const Members& others = members(set);
    std::erase_if(kept, [&](Entity x) { return others.contains(x) != wanted; });
}

// The entities that are in every one of `inside` and in none of `outside`; `inside` comes shortest first.
EntitySet SetSpace::common(std::span<const EntitySet* const> inside, std::span<const EntitySet* const> outside) {
    std::vector<Entity>& kept = buffer();
    kept.assign(inside[0]->entities.begin(), inside[0]->entities.end());
    for (const EntitySet* set : inside.subspan(1)) filter(kept, *set, true);
    for (const EntitySet* set : outside) filter(kept, *set, false);
    return {kept, inside[0]->sorted};
}

EntitySet SetSpace::united(std::span<const EntitySet* const> sets) {
    std::size_t most = 0;
    for (const EntitySet* set : sets) most += set->entities.size();
    restart(most);
    std::vector<Entity>& made = buffer();
    for (const EntitySet* set : sets) insert(set->entities, made);
    current_ = made;
    return {made, false};
}

EntitySet SetSpace::unite(std::span<const std::span<const Entity>> runs) {
    const auto filled = [](const auto& run) { return !run.empty(); };
    const auto first = std::find_if(runs.begin(), runs.end(), filled);
    if (first == runs.end()) return {};
    if (std::find_if(first + 1, runs.end(), filled) == runs.end()) return {*first};
    std::size_t most = 0;
    for (const auto run : runs) most += run.size();
    restart(most);
    std::vector<Entity>& made = buffer();
    for (const auto run : runs) insert(run, made);
    current_ = made;
    return {made, false};
}

EntitySet SetSpace::intersect(std::span<EntitySet> sets) {
    const Parts parts = separate(sets);
    if (!parts.plain.empty()) return common(parts.plain, parts.complements);
    EntitySet made = united(parts.complements);  // ¬A ∩ ¬B = ¬(A ∪ B)
    made.complement = true;
    return made;
}

EntitySet SetSpace::unite(std::span<EntitySet> sets) {
    const Parts parts = separate(sets);
    if (parts.complements.empty()) return united(parts.plain);
    EntitySet made = common(parts.complements, parts.plain);  // ¬A ∪ ¬B ∪ C = ¬(A ∩ B \ C)
    made.complement = true;
    return made;
}

EntitySet SetSpace::sort(const EntitySet& set) {
    if (set.sorted) return set;
    std::vector<Entity>& made = buffer();
    made.assign(set.entities.begin(), set.entities.end());
    if (made.size() < num_entities_ / kDrainFrom) {
        std::sort(made.begin(), made.end());
    } else {
        restart(num_entities_);
        for (const Entity x : made) members_.insert(x);
        members_.drain(made);
    }
    return {made, true, set.complement};
}

}  // namespace graphkit
