// Tells the members of a set from other entities.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "queries/entity_set.hpp"
#include "queries/run_search.hpp"

namespace graphkit {

// By whichever way is cheapest for so many members and tests, until the next operation of `sets`.
class MemberTest {
  public:
    MemberTest(const EntitySet& set, std::size_t tests, SetSpace& sets)
        : members_(set.entities), complement_(set.complement) {
        if (members_.size() <= kCompareUpTo || (tests == 1 && !set.sorted))
            compare_ = true;
        else if (set.sorted && members_.size() > (sets.large() ? 1 : kSearchFrom) * tests)
            search_.emplace(set);
        else
            all_ = &sets.members(set);
    }

    bool operator()(Entity x) const { return holds(x) != complement_; }

    // Says for entity(0) and those after it whether they are members.
    template <class EntityOf>
    void test(std::span<std::uint8_t> held, EntityOf entity) const {
        if (search_) {
            search_->test(held, entity);
            if (complement_)
                for (std::uint8_t& is_held : held) is_held = !is_held;
            return;
        }
        if (all_ != nullptr)
            for (std::size_t k = 0; k < held.size(); ++k) all_->fetch(entity(k));
        for (std::size_t k = 0; k < held.size(); ++k) held[k] = (*this)(entity(k));
    }

    // The members, where it pays to compare an entity with one after the other; else nothing.
    std::span<const Entity> compared() const { return compare_ ? members_ : std::span<const Entity>(); }

  private:
    // Estimates from the number of operations, not measured.
    static constexpr std::size_t kCompareUpTo = 8;  // members that are compared with one by one
    static constexpr std::size_t kSearchFrom = 4;   // members a test, from which they are searched rather than set up

    bool holds(Entity x) const {
        if (search_) return (*search_)(x);
        return all_ != nullptr ? all_->contains(x) : std::find(members_.begin(), members_.end(), x) != members_.end();
    }

    std::span<const Entity> members_;
    std::optional<RunSearch> search_;
    const Members* all_ = nullptr;
    bool complement_, compare_ = false;
};

}  // namespace graphkit
