// Counter-based random numbers: Philox 4x32-10 (Salmon et al., SC 2011). A draw is a pure function of its key and
// counter, so that the same seed gives the same batch whatever the number of threads, and any batch can be replayed.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace graphkit {

using PhiloxBlock = std::array<std::uint32_t, 4>;

inline PhiloxBlock philox(PhiloxBlock counter, std::uint64_t key) {
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = 0xD2511F53ULL * counter[0], p1 = 0xCD9E8D57ULL * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    return counter;
}

// The numbers of one lane of one batch: draw i of (seed, batch, lane). A lane is a query's place in the global batch,
// never a place on one thread or process.
class LaneRandom {
  public:
    // Numbers from here up are no lane: what stands in place of one otherwise has them, see Permuted.
    static constexpr std::uint32_t kNoLane = 0xFFFFFFFEU;

    LaneRandom(std::uint64_t seed, std::uint64_t batch, std::uint32_t lane) : seed_(seed), batch_(batch), lane_(lane) {}

    std::uint64_t next() {
        const std::uint32_t half = draw_ & 1;
        if (half == 0)
            block_ =
                philox({draw_ / 2, lane_, static_cast<std::uint32_t>(batch_), static_cast<std::uint32_t>(batch_ >> 32)},
                       seed_);
        ++draw_;
        return block_[2 * half] | static_cast<std::uint64_t>(block_[2 * half + 1]) << 32;
    }

    // Uniform in [0, size) up to a bias below size / 2^64.
    std::uint64_t below(std::uint64_t size) {
        return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * size) >> 64);
    }

  private:
    std::uint64_t seed_, batch_;
    std::uint32_t lane_, draw_ = 0;
    PhiloxBlock block_{};
};

// Many numbers from one draw of a lane: SplitMix64 (Steele et al., OOPSLA 2014), a tenth of the cost of Philox. Each
// sequence begins at a place of its own, so that it stays a function of (seed, batch, lane).
class SplitMix {
  public:
    explicit SplitMix(std::uint64_t start) : state_(start) {}

    // Uniform in [0, size) up to a bias below size / 2^64.
    std::uint64_t below(std::uint64_t size) {
        return static_cast<std::uint64_t>((static_cast<unsigned __int128>(scramble(state_ += kStep)) * size) >> 64);
    }

    // Fills `row` with what as many calls of `below` return; size is at most 2^32.
    void fill_below(std::uint64_t size, std::span<std::int64_t> row);

  private:
    static constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15ULL;

    static std::uint64_t scramble(std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }
    // z * size / 2^64, by products that vectors have.
    static std::uint64_t scale(std::uint64_t z, std::uint64_t size) {
        return ((z >> 32) * size + ((z & 0xffffffff) * size >> 32)) >> 32;
    }

    std::uint64_t state_;
};

}  // namespace graphkit
