// A keyed permutation of [0, size) without memory: a Feistel network over the next power of four, walked until the
// value falls inside (Black and Rogaway, 2002). It lets an epoch visit each edge (or cluster, or candidate) once, and
// start at any position.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "samplers/philox.hpp"

namespace graphkit {

// What is permuted. They stand where LaneRandom has the lane, so that no two share a counter.
enum class Permuted : std::uint32_t {
    kTrained = LaneRandom::kNoLane,  // edges, clusters
    kCandidates,                     // what the queries of a chunk share
};

class EpochPermutation {
  public:
    EpochPermutation(std::uint64_t size, std::uint64_t seed, std::uint64_t epoch, Permuted what = Permuted::kTrained)
        : size_(size) {
        const int bits = size > 1 ? std::bit_width(size - 1) : 1;
        half_bits_ = (bits + 1) / 2;
        mask_ = (1ULL << half_bits_) - 1;
        for (std::uint32_t round = 0; round < kRounds; ++round) {
            const auto block = philox({round, static_cast<std::uint32_t>(what), static_cast<std::uint32_t>(epoch),
                                       static_cast<std::uint32_t>(epoch >> 32)},
                                      seed);
            keys_[round] = block[0] | static_cast<std::uint64_t>(block[1]) << 32;
        }
    }

    std::uint64_t operator()(std::uint64_t i) const {
        do i = network(i);
        while (i >= size_);
        return i;
    }

    // Writes the images of as many places from `first` on, by wide vectors.
    void fill(std::uint64_t first, std::span<std::int64_t> to) const;

  private:
    static constexpr std::uint32_t kRounds = 6;

    std::uint64_t network(std::uint64_t value) const {
        std::uint64_t left = value >> half_bits_, right = value & mask_;
        for (const std::uint64_t key : keys_) {
            const std::uint64_t mixed = left ^ (scramble(right ^ key) & mask_);
            left = right;
            right = mixed;
        }
        return left << half_bits_ | right;
    }

    // The finaliser of SplitMix64 (Steele et al., OOPSLA 2014).
    static std::uint64_t scramble(std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }

    std::uint64_t size_, mask_;
    int half_bits_;
    std::array<std::uint64_t, kRounds> keys_;
};

// The permutations of all epochs, one after another.
class Epochs {
  public:
    Epochs(std::uint64_t size, std::uint64_t seed, Permuted what, std::uint64_t position)
        : size_(size), seed_(seed), what_(what), epoch_(position / size), order_(size, seed, epoch_, what) {}

    // What stands at a position; quick as long as that stays in the epoch of the last one.
    std::uint64_t operator()(std::uint64_t position) {
        turn_to(position / size_);
        return order_(position % size_);
    }

    // Writes what stands at as many positions from there on.
    void fill(std::uint64_t position, std::span<std::int64_t> to);

  private:
    void turn_to(std::uint64_t epoch) {
        if (epoch == epoch_) return;
        epoch_ = epoch;
        order_ = EpochPermutation(size_, seed_, epoch, what_);
    }

    std::uint64_t size_, seed_;
    Permuted what_;
    std::uint64_t epoch_;
    EpochPermutation order_;
};

}  // namespace graphkit
