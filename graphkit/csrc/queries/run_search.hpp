// Looks for entities in an ascending list.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "queries/entity_set.hpp"

namespace graphkit {

class RunSearch {
  public:
    explicit RunSearch(const EntitySet& set)
        : members_(set.entities), sketch_(set.sketch), places_per_id_(sketch_ ? 0 : spread()) {}

    bool operator()(Entity x) const {
        if (!sketch_) return search(x, places_per_id_);
        return sketch_.may_hold(x) && search(x, spread());
    }

    // Fetches what is read first of x.
    void fetch(Entity x) const {
        if (sketch_)
            sketch_.fetch(x);
        else
            __builtin_prefetch(&members_[place_near(x, places_per_id_)]);
    }

    // Says for entity(0) and those after it whether they are in the list: passes that each fetch what the next one
    // reads.
    template <class EntityOf>
    void test(std::span<std::uint8_t> held, EntityOf entity) const {
        for (std::size_t k = 0; k < held.size(); ++k) fetch(entity(k));
        if (!sketch_) {
            for (std::size_t k = 0; k < held.size(); ++k) held[k] = search(entity(k), places_per_id_);
            return;
        }
        std::size_t open = 0;
        for (std::size_t k = 0; k < held.size(); ++k) open += held[k] = sketch_.may_hold(entity(k));
        if (open == 0) return;
        const double places_per_id = spread();
        for (std::size_t k = 0; k < held.size(); ++k)
            if (held[k]) __builtin_prefetch(&members_[place_near(entity(k), places_per_id)]);
        for (std::size_t k = 0; k < held.size(); ++k)
            if (held[k]) held[k] = search(entity(k), places_per_id);
    }

  private:
    // Places that an id is apart from the next, if members are spread evenly. Reads both ends of the list.
    double spread() const {
        const Entity range = members_.back() - members_.front();
        return range == 0 ? 0 : static_cast<double>(members_.size() - 1) / range;
    }

    // Where x is about.
    std::size_t place_near(Entity x, double places_per_id) const {
        const Entity within = std::clamp(x, members_.front(), members_.back()) - members_.front();
        return static_cast<std::size_t>(within * places_per_id);
    }

    // By steps of growing length from where x is about, and by bisection of the last of them.
    bool search(Entity x, double places_per_id) const {
        const std::size_t near = place_near(x, places_per_id);
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
    RunSketch sketch_;
    double places_per_id_;  // without a sketch; else it is computed where it is needed
};

}  // namespace graphkit
