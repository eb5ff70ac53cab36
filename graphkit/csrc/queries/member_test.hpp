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
        } else if (set.sorted && members_.size() > (sets.large() ? 1 : kSearchFrom) * tests) {
            way_ = Way::kSearch;
            places_per_id_ = static_cast<double>(members_.size() - 1) / (members_.back() - members_.front());
        } else {
            all_ = &sets.members(set);
        }
    }

    bool operator()(Entity x) const { return holds(x) != complement_; }

    // Fetches what a test of x reads first.
    void fetch(Entity x) const {
        if (way_ == Way::kSearch) __builtin_prefetch(&members_[place_near(x)]);
        if (way_ == Way::kLookUp) all_->fetch(x);
    }

    // The members, where it pays to compare an entity with one after the other; else nothing.
    std::span<const Entity> compared() const { return way_ == Way::kCompare ? members_ : std::span<const Entity>(); }

  private:
    enum class Way : std::uint8_t { kCompare, kSearch, kLookUp };

    // Estimates from the number of operations, not measured.
    static constexpr std::size_t kCompareUpTo = 8;  // members that are compared with one by one
    static constexpr std::size_t kSearchFrom = 4;   // members a test, from which they are searched rather than set up

    bool holds(Entity x) const {
        switch (way_) {
            case Way::kCompare:
                return std::find(members_.begin(), members_.end(), x) != members_.end();
            case Way::kSearch:
                return search(x);
            case Way::kLookUp:
                break;
        }
        return all_->contains(x);
    }

    // Where x is about, if members are spread evenly.
    std::size_t place_near(Entity x) const {
        const Entity within = std::clamp(x, members_.front(), members_.back()) - members_.front();
        return static_cast<std::size_t>(within * places_per_id_);
    }

    // By steps of growing length from where x is about, and by bisection of the last of them.
    bool search(Entity x) const {
        const std::size_t near = place_near(x);
        std::size_t step = kFirstStep, low = near, high = near;  // x lies in [low, high], if anywhere
        while (low > 0 && members_[low] > x) {
            high = low;
            low -= std::min(low, step);
            step *= 2;
        }
        while (high + 1 < members_.size() && members_[high] < x) {
            low = high;
            high = std::min(high + step, members_.size() - 1);
            step *= 2;
        }
        const auto first = members_.begin();
        return std::binary_search(first + static_cast<std::ptrdiff_t>(low),
                                  first + static_cast<std::ptrdiff_t>(high) + 1, x);
    }

    static constexpr std::size_t kFirstStep = 8;  // half a cache line

    std::span<const Entity> members_;
    double places_per_id_ = 0;
    const Members* all_ = nullptr;
    bool complement_;
    Way way_ = Way::kLookUp;
};

}  // namespace graphkit
