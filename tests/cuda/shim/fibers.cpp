#include "fibers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef SHIM_UCONTEXT
// Saves the registers that a call has to keep, and takes up those of another stack. The functions of <ucontext.h> would
// ask the system to set the signal mask each time, at 20 times the cost.
extern "C" void shim_switch_stacks(void** from, void* to);
asm(R"(
    .text
    .p2align 4
    .globl shim_switch_stacks
    .hidden shim_switch_stacks
    .type shim_switch_stacks, @function
shim_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size shim_switch_stacks, .-shim_switch_stacks
)");
#endif

namespace shim {
namespace {

// The fiber that was switched to last, which begins.
Fiber* beginning = nullptr;

#ifdef __SANITIZE_ADDRESS__
// The stack of the caller of `shim_run`, which the first fiber ever is switched to from.
const void* callers_bottom = nullptr;
std::size_t callers_bytes = 0;
#endif

}  // namespace

void fiber_entry() {
    Fiber::arrived();
    beginning->entry_();
    std::abort();
}

Fiber::Fiber(void (*entry)()) : entry_(entry) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* memory = mmap(nullptr, page + kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    // A stack that grows too large meets a page that must not be touched.
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) {
        std::perror("no memory for the stack of a thread");
        std::abort();
    }
    stack_ = static_cast<std::byte*>(memory) + page;
    reset();
}

Fiber::~Fiber() {
    if (stack_ == nullptr) return;
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    munmap(stack_ - page, page + kStackBytes);
}

void Fiber::reset() {
#ifdef SHIM_UCONTEXT
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    makecontext(&context_, fiber_entry, 0);
#else
    // As if fiber_entry had been called (by nobody), and had switched away at once.
    auto* top = reinterpret_cast<std::uintptr_t*>(stack_ + kStackBytes);
    *--top = 0;
    *--top = reinterpret_cast<std::uintptr_t>(&fiber_entry);
    for (int saved = 0; saved < 6; ++saved) *--top = 0;
    top_ = top;
#endif
}

void Fiber::arrived() {
#ifdef __SANITIZE_ADDRESS__
    const void* bottom = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (callers_bottom == nullptr) callers_bottom = bottom, callers_bytes = bytes;
#endif
}

void Fiber::switch_to(Fiber& other) {
    beginning = &other;
#ifdef __SANITIZE_ADDRESS__
    void* fake_stack = nullptr;
    const void* bottom = other.stack_ != nullptr ? other.stack_ : callers_bottom;
    __sanitizer_start_switch_fiber(&fake_stack, bottom, other.stack_ != nullptr ? kStackBytes : callers_bytes);
#endif
#ifdef SHIM_UCONTEXT
    swapcontext(&context_, &other.context_);
#else
    shim_switch_stacks(&top_, other.top_);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

bool Fiber::holds(const void* at) const {
    const auto* place = static_cast<const std::byte*>(at);
    return stack_ != nullptr && place >= stack_ && place < stack_ + kStackBytes;
}

}  // namespace shim
