#include "queries/entity_set.hpp"

#include <algorithm>
#include <bit>

namespace graphkit {
namespace {

// Beyond this ratio of lengths, searching the longer list beats walking it.
constexpr std::size_t kSearchFrom = 16;

// First element of `list` from `at` on that is not below x, by doubling steps: the cost is the logarithm of the way.
const Entity* advance_to(const Entity* at, const Entity* end, Entity x) {
    std::ptrdiff_t step = 1;
    while (end - at > step && at[step] < x) {
        at += step;
        step *= 2;
    }
    return std::lower_bound(at, at + std::min(step + 1, end - at), x);
}

// Keeps the entities whose membership in `list` is `wanted`. Both are ascending.
void filter(std::vector<Entity>& kept, std::span<const Entity> list, bool wanted) {
    const Entity* at = list.data();
    const Entity* const end = at + list.size();
    const bool search = list.size() > kSearchFrom * kept.size();
    auto to = kept.begin();
    for (const Entity x : kept) {
        if (search)
            at = advance_to(at, end, x);
        else
            while (at != end && *at < x) ++at;
        if ((at != end && *at == x) == wanted) *to++ = x;
    }
    kept.erase(to, kept.end());
}

EntitySet united(std::span<const EntitySet* const> sets, Uniter& uniter) {
    for (const EntitySet* set : sets) uniter.add(set->entities());
    return EntitySet(uniter.finish().take());  // a borrowed run might belong to a set that is about to go
}

struct Parts {
    std::vector<EntitySet*> plain, complements;
};

Parts separate(std::span<EntitySet> sets) {
    Parts parts;
    for (EntitySet& set : sets) (set.complement() ? parts.complements : parts.plain).push_back(&set);
    const auto shorter = [](const EntitySet* a, const EntitySet* b) {
        return a->entities().size() < b->entities().size();
    };
    std::stable_sort(parts.plain.begin(), parts.plain.end(), shorter);
    std::stable_sort(parts.complements.begin(), parts.complements.end(), shorter);
    return parts;
}

// The entities that are in every one of `inside` and in none of `outside`; `inside` comes shortest first.
EntitySet common(const std::vector<EntitySet*>& inside, const std::vector<EntitySet*>& outside) {
    std::vector<Entity> kept = inside.front()->take();
    for (std::size_t i = 1; i < inside.size(); ++i) filter(kept, inside[i]->entities(), true);
    for (const EntitySet* set : outside) filter(kept, set->entities(), false);
    return EntitySet(std::move(kept));
}

}  // namespace

EntitySet Uniter::finish() {
    EntitySet made;
    if (marks_ == 0 && pending_.size() == 1) {
        made = EntitySet::of_run(pending_.front());
    } else if (marks_ == 0 && pending_size_ < num_entities_ / 2048) {
        // Sorting pays for each entity, the bitmap for every 64 entities of the graph.
        made = EntitySet(sorted());
    } else if (marks_ > 0 || pending_size_ > 0) {
        mark();
        made = EntitySet(marked());
    }
    pending_.clear();
    pending_size_ = 0;
    return made;
}

std::vector<Entity> Uniter::sorted() const {
    std::vector<Entity> entities;
    entities.reserve(pending_size_);
    for (const auto& run : pending_) entities.insert(entities.end(), run.begin(), run.end());
    std::sort(entities.begin(), entities.end());
    entities.erase(std::unique(entities.begin(), entities.end()), entities.end());
    return entities;
}

void Uniter::mark() {
    bits_.resize((num_entities_ + 63) / 64);
    for (const auto& run : pending_) {
        const std::size_t first = run.front() / 64, last = run.back() / 64;
        first_ = marks_ == 0 ? first : std::min(first_, first);
        last_ = marks_ == 0 ? last : std::max(last_, last);
        for (const Entity x : run) {
            std::uint64_t& word = bits_[x / 64];
            const std::uint64_t bit = std::uint64_t{1} << (x % 64);
            marks_ += (word & bit) == 0;
            word |= bit;
        }
    }
    pending_.clear();
    pending_size_ = 0;
}

std::vector<Entity> Uniter::marked() {
    std::vector<Entity> entities;
    entities.reserve(marks_);
    for (std::size_t i = first_; i <= last_; ++i) {
        for (std::uint64_t word = bits_[i]; word != 0; word &= word - 1)
            entities.push_back(static_cast<Entity>(64 * i + static_cast<unsigned>(std::countr_zero(word))));
        bits_[i] = 0;
    }
    marks_ = 0;
    return entities;
}

EntitySet intersect(std::span<EntitySet> sets, Uniter& uniter) {
    const Parts parts = separate(sets);
    if (!parts.plain.empty()) return common(parts.plain, parts.complements);
    EntitySet made = united(parts.complements, uniter);  // ¬A ∩ ¬B = ¬(A ∪ B)
    made.negate();
    return made;
}

EntitySet unite(std::span<EntitySet> sets, Uniter& uniter) {
    const Parts parts = separate(sets);
    if (parts.complements.empty()) return united(parts.plain, uniter);
    EntitySet made = common(parts.complements, parts.plain);  // ¬A ∪ ¬B ∪ C = ¬(A ∩ B \ C)
    made.negate();
    return made;
}

}  // namespace graphkit
