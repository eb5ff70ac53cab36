// Runs the blocks of a launch one after another, and the threads of a block by turns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fibers.hpp"
#include "memory_map.hpp"
#include "races.hpp"
#include "runtime.hpp"

namespace shim {

enum class State { kReady, kRunning, kAtBarrier, kInWarp, kEnded };

struct Thread {
    State state = State::kReady;
    Fiber* fiber = nullptr;  // none before it begins
    const char* file = nullptr;
    int line = 0;  // where it waits
    ShimWarpCall call{};
    std::uint64_t result = 0;
};

// The one launch that runs.
class Scheduler {
  public:
    int run(const char* kernel, const ShimLaunch& launch, void (*call)(void*), void* context);

    void sync_threads(const char* file, int line);
    std::uint64_t warp(const ShimWarpCall& call);
    // Ends the launch: as a sentence that names the kernel, or that names the block and the running thread too.
    [[noreturn]] void fail(const std::string& what);
    [[noreturn]] void fail_here(const std::string& what);

    // The running thread touches memory; `place` is in the code.
    void access(const std::byte* at, std::size_t bytes, Kind, const void* place);

    const std::string& error() const { return error_; }

    // What threads of new fibers do.
    void begin_threads();

  private:
    void run_block(std::uint64_t block);
    // Lets another thread run, until the current one, unless it has ended, is ready again.
    void proceed();
    bool pop();
    void push(unsigned thread);
    void enter(unsigned thread);
    // Ends a call of a warp if all that it names have come.
    void complete(unsigned thread);
    void answer(unsigned lane, unsigned first, const ShimWarpCall& call);
    [[noreturn]] void tell_deadlock();
    [[noreturn]] void tell_conflict(const Conflict&);
    std::string block_name(std::uint64_t block) const;
    std::string thread_name(unsigned thread) const;
    std::string place_name(std::uint32_t place) const;
    std::string where(unsigned thread) const;
    std::uint64_t draw(std::uint64_t bound);

    const char* kernel_ = nullptr;
    void (*call_)(void*) = nullptr;
    void* context_ = nullptr;
    std::uint64_t random_ = 0;
    bool shuffled_ = false;
    std::string error_;
    // Both of the launch.
    std::optional<MemoryMap> memory_;
    std::optional<Races> races_;
    std::uint64_t block_ = 0;
    const std::byte* image_ = nullptr;

    std::vector<Thread> threads_;
    std::vector<unsigned> ready_;
    std::size_t next_ready_ = 0;
    unsigned current_ = 0, ended_ = 0, at_barrier_ = 0;

    Fiber main_;
    Fiber* running_ = &main_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> free_;
};

Scheduler& scheduler();

}  // namespace shim
