// Stacks of their own for the threads of a block, and the switch between them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#if !defined(__x86_64__) || defined(SHIM_UCONTEXT)
#define SHIM_UCONTEXT 1
#include <ucontext.h>
#endif

namespace shim {

// Under the address sanitizer frames are several times as large.
constexpr std::size_t kStackBytes = std::size_t{1} << 17;

// A place where execution goes on: that of the caller of `shim_run`, or one with a stack of its own.
class Fiber {
  public:
    // The caller's own.
    Fiber() = default;
    // One that begins with `entry`, which never returns.
    explicit Fiber(void (*entry)());
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;
    ~Fiber();

    // Leaves this fiber, which runs, for another; returns when something switches back.
    void switch_to(Fiber& other);
    // Forgets what it was doing, and begins anew with its entry when it is switched to.
    void reset();
    bool holds(const void* at) const;

  private:
    // Tells the sanitizers, as the first thing on a fiber that was switched to.
    static void arrived();
    friend void fiber_entry();

    void (*entry_)() = nullptr;
    std::byte* stack_ = nullptr;
#ifdef SHIM_UCONTEXT
    ucontext_t context_{};
#else
    void* top_ = nullptr;
#endif
};

}  // namespace shim
