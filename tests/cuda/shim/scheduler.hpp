// Runs the blocks of a launch one after another, and the threads of a block by turns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fibers.hpp"
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

    const std::string& error() const { return error_; }
    unsigned current() const { return current_; }
    const Fiber* fiber() const { return threads_[current_].fiber; }
    std::string block_name() const;
    std::string thread_name(unsigned thread) const;

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
    bool complete(unsigned thread);
    void answer(unsigned lane, unsigned first, const ShimWarpCall& call);
    [[noreturn]] void tell_deadlock();
    std::string where(unsigned thread) const;
    std::uint64_t draw(std::uint64_t bound);

    const char* kernel_ = nullptr;
    void (*call_)(void*) = nullptr;
    void* context_ = nullptr;
    std::uint64_t random_ = 0;
    bool shuffled_ = false;
    std::string error_;

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
