// A bit for each entity, all clear between uses: what marks entities clears them again, so that a use costs as much as
// the entities that it marks, not as the graph.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"

namespace graphkit {

class Marks {
  public:
    explicit Marks(std::uint64_t num_entities) : num_entities_(num_entities) {}

    // Makes room for the bits when they are first needed.
    void prepare() {
        if (bits_.empty()) bits_.resize((num_entities_ + 63) / 64);
    }
    bool contains(Entity x) const { return bits_[x / 64] >> (x % 64) & 1; }
    void fetch(Entity x) const { __builtin_prefetch(&bits_[x / 64]); }
    // Whether x was not marked before.
    bool insert(Entity x) {
        std::uint64_t& word = bits_[x / 64];
        const std::uint64_t bit = std::uint64_t{1} << (x % 64);
        const bool fresh = (word & bit) == 0;
        word |= bit;
        return fresh;
    }
    // Whole words are cleared: nothing may be marked but `entities`.
    void clear_all(std::span<const Entity> entities) {
        for (const Entity x : entities) bits_[x / 64] = 0;
    }

    // Writes the marked entities in ascending order, and clears the marks.
    void drain(std::span<Entity> out);

  private:
    std::uint64_t num_entities_;
    std::vector<std::uint64_t> bits_;
};

}  // namespace graphkit
