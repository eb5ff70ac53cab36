// The members of one set at a time, as a bit for each entity; on large graphs in a small table while they are few: the
// bits of 86M entities are 10 MB, in which every look-up misses the nearest caches.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "queries/marks.hpp"

namespace graphkit {

class Members {
  public:
    explicit Members(std::uint64_t num_entities) : marks_(num_entities), large_(num_entities > kBitsUpTo) {}

    bool large() const { return large_; }

    // Makes room for up to so many entities. Those that were inserted before must have been let go of.
    void begin(std::size_t most) {
        few_ = large_ && most <= kTableUpTo;
        if (!few_) {
            marks_.prepare();
            return;
        }
        const std::size_t places = std::bit_ceil(2 * most + 2);
        if (table_.size() < places) table_.resize(places);
        shift_ = 32 - std::countr_zero(places);
        mask_ = places - 1;
        if (++generation_ == 0) {  // what earlier sets left behind would come to life
            std::ranges::fill(table_, 0);
            generation_ = 1;
        }
    }

    bool contains(Entity x) const { return few_ ? table_[place_of(x)] == entry(x) : marks_.contains(x); }

    // Fetches what `contains` reads.
    void fetch(Entity x) const {
        if (!few_) marks_.fetch(x);
    }

    // Whether x was not there before.
    bool insert(Entity x) {
        if (!few_) return marks_.insert(x);
        std::uint64_t& found = table_[place_of(x)];
        const bool fresh = found != entry(x);
        found = entry(x);
        return fresh;
    }

    // Lets go of all that was inserted, which are `entities`.
    void clear(std::span<const Entity> entities) {
        if (!few_) marks_.clear_all(entities);
    }

    // Writes what was inserted in ascending order, and lets go of it: of as many as `begin` keeps no table for.
    void drain(std::span<Entity> out) { marks_.drain(out); }

  private:
    static constexpr std::size_t kTableUpTo = 4096;         // members
    static constexpr std::uint64_t kBitsUpTo = 1ULL << 23;  // entities whose bits, 1 MiB, stay near

    static_assert(kBitsUpTo >= kTableUpTo);  // what `drain` is called for has bits

    std::uint64_t entry(Entity x) const { return static_cast<std::uint64_t>(generation_) << 32 | x; }
    // Where x is, or would be: the first place from its own that holds it or nothing of this generation.
    std::size_t place_of(Entity x) const {
        std::size_t place = x * 0x9E3779B1U >> shift_;
        while (table_[place] >> 32 == generation_ && table_[place] != entry(x)) place = (place + 1) & mask_;
        return place;
    }

    Marks marks_;
    std::vector<std::uint64_t> table_;  // (generation, entity)
    std::uint32_t generation_ = 0;
    int shift_ = 0;
    std::size_t mask_ = 0;
    bool large_, few_ = false;
};

}  // namespace graphkit
