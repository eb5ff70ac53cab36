// Tells the members of a set from other entities.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "queries/entity_set.hpp"

namespace graphkit {

// By whichever way is cheapest for so many members and tests, until the next operation of `sets`.
class MemberTest {
  public:
    MemberTest(const EntitySet& set, std::size_t tests, SetSpace& sets)
        : members_(set.entities), complement_(set.complement) {
        if (members_.size() <= kCompareUpTo || (tests == 1 && !set.sorted)) {
            way_ = Way::kCompare;
        } else if (set.sorted && members_.size() > kSearchFrom * tests) {
            way_ = Way::kSearch;
        } else {
            marks_ = &sets.mark(set);
        }
    }

    bool operator()(Entity x) const { return holds(x) != complement_; }

    // The members, where it pays to compare an entity with one after the other; else nothing.
    std::span<const Entity> compared() const { return way_ == Way::kCompare ? members_ : std::span<const Entity>(); }

  private:
    enum class Way : std::uint8_t { kCompare, kSearch, kMark };

    // Estimates from the number of operations, not measured.
    static constexpr std::size_t kCompareUpTo = 8;  // members that are compared with one by one
    static constexpr std::size_t kSearchFrom = 4;   // members a test, from which they are searched rather than marked

    bool holds(Entity x) const {
        switch (way_) {
            case Way::kCompare:
                return std::find(members_.begin(), members_.end(), x) != members_.end();
            case Way::kSearch:
                return std::binary_search(members_.begin(), members_.end(), x);
            case Way::kMark:
                break;
        }
        return marks_->contains(x);
    }

    std::span<const Entity> members_;
    const Marks* marks_ = nullptr;
    bool complement_;
    Way way_ = Way::kMark;
};

}  // namespace graphkit
