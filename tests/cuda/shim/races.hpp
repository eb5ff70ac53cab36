// Finds accesses that conflict: of two threads, to the same byte, at least one writing and not both atomic, with
// nothing that orders them. What orders threads of a block is __syncthreads, and __syncwarp those that its mask names;
// nothing orders blocks. Shuffles and votes are no memory barriers (CUDA C++ Programming Guide, "Warp Shuffle
// Functions").
//
// Accesses are compared by what orders them, not by when they happened to run, as in Flanagan, Freund, "FastTrack"
// (2009): one run finds every race of its accesses. Of readers (and atomic operations) of a byte that are not ordered,
// two are remembered, of different warps if there are such; that misses a race only where a third one of the same warp
// was ordered apart from both.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "memory_map.hpp"

namespace shim {

enum class Kind { kRead, kWrite, kAtomic };

struct Access {
    std::uint32_t block = 0, interval = 0, clock = 0;
    std::uint32_t place = 0;  // in the code of the library
    std::uint16_t thread = 0;
    Kind kind = Kind::kRead;
    bool used = false;
};

struct Conflict {
    Access before, now;
    const std::byte* at;
};

class Races {
  public:
    void begin_block(std::uint32_t block, std::size_t threads);
    void barrier() { ++interval_; }
    void sync_warp(unsigned first, unsigned mask, unsigned lanes);
    // The first conflict that an access of a thread of the current block makes.
    std::optional<Conflict> access(const std::byte* at, std::size_t bytes, bool shared, Kind, unsigned thread,
                                   std::uint32_t place);

  private:
    // What is remembered of a byte. Blocks run one after another, so that of those before the current one, one will do.
    struct Byte {
        Access write, earlier_read, earlier_atomic;
        std::array<Access, 2> reads, atomics;
    };
    static constexpr std::size_t kPage = 64;
    using Page = std::array<Byte, kPage>;
    using Pages = std::unordered_map<std::uintptr_t, std::unique_ptr<Page>>;

    bool ordered(const Access& before, const Access& now) const;
    bool conflicts(const Access& before, const Access& now) const;
    const Access* find(const Byte&, const Access& now) const;
    void remember(Byte&, const Access& now) const;
    void remember_shared(std::array<Access, 2>& all, Access& earlier, const Access& now) const;

    std::uint32_t block_ = 0, interval_ = 0;
    // clocks_[t][l]: up to which of its own times thread t knows lane l of its warp.
    std::vector<std::array<std::uint32_t, 32>> clocks_;
    Pages global_, shared_;
};

}  // namespace shim
