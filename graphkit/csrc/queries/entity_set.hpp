// Sets of entities in ascending order, and what queries do with them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"

namespace graphkit {

// Entities, or all but these. A single run of the index is not copied.
class EntitySet {
  public:
    EntitySet() = default;
    explicit EntitySet(std::vector<Entity> entities) : owned_(std::move(entities)) {}
    static EntitySet of_run(std::span<const Entity> run) {
        EntitySet set;
        set.run_ = run;
        set.borrowed_ = true;
        return set;
    }

    std::span<const Entity> entities() const { return borrowed_ ? run_ : std::span<const Entity>(owned_); }
    bool complement() const { return complement_; }
    void negate() { complement_ = !complement_; }

    // The entities as a vector of the caller's own.
    std::vector<Entity> take() {
        if (borrowed_) return {run_.begin(), run_.end()};
        return std::move(owned_);
    }

  private:
    std::vector<Entity> owned_;
    std::span<const Entity> run_;
    bool borrowed_ = false;
    bool complement_ = false;
};

// Unites any number of ascending runs. Few entities are sorted; many are marked in a bitmap of N bits, which is kept
// and cleared as it is read, so that memory depends neither on the number of runs nor on how much they overlap.
class Uniter {
  public:
    explicit Uniter(std::uint64_t num_entities) : num_entities_(num_entities) {}

    // The run must stay where it is until `finish`.
    void add(std::span<const Entity> run) {
        if (run.empty()) return;
        pending_.push_back(run);
        pending_size_ += run.size();
        if (pending_.size() == kPending) mark();
    }
    // The union of what was added since the last call; it may borrow the one run that was added.
    EntitySet finish();

  private:
    static constexpr std::size_t kPending = 1024;  // runs that wait for a decision between sorting and marking

    void mark();
    std::vector<Entity> sorted() const;
    std::vector<Entity> marked();

    std::uint64_t num_entities_;
    std::vector<std::span<const Entity>> pending_;
    std::size_t pending_size_ = 0;
    std::vector<std::uint64_t> bits_;  // all zero between calls, and empty until it is needed
    std::size_t marks_ = 0;            // bits that are set, all of them in the words from first_ to last_
    std::size_t first_ = 0, last_ = 0;
};

// Intersects or unites sets of which any may be complements; complements are resolved against the others, so that no
// step is as large as the graph unless its operands are.
EntitySet intersect(std::span<EntitySet> sets, Uniter& uniter);
EntitySet unite(std::span<EntitySet> sets, Uniter& uniter);

}  // namespace graphkit
