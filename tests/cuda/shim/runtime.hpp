// What kernels that were compiled for the CPU ask of the shim's runtime, which is compiled apart from them.
#pragma once

#include <cstddef>
#include <cstdint>

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// Calls in which the threads of a warp take part together.
enum ShimWarpKind { kShimSync, kShimShuffle, kShimShuffleUp, kShimShuffleDown, kShimShuffleXor, kShimBallot };

struct ShimWarpCall {
    ShimWarpKind kind;
    unsigned mask;
    std::uint64_t value;
    int operand, width, line;
};

// The memory of an argument.
struct ShimRegion {
    void* begin;
    std::size_t bytes;
    int argument;
};

struct ShimLaunch {
    unsigned grid[3], block[3];
    std::size_t shared_bytes;
    // 0: blocks and threads in the order of their numbers; else a seed of their order.
    std::uint64_t schedule_seed;
    // What the kernel may touch, where that is checked; only kernels that were compiled for it ask.
    const ShimRegion* regions;
    std::size_t region_count;
};

extern "C" {

// Waits for all threads of the block.
void shim_sync_threads(const char* file, int line);
// Waits for the threads of the warp that the mask names; returns what the call of this one gives.
std::uint64_t shim_warp(const ShimWarpCall* call);
// Ends the launch with an error of the running thread.
[[noreturn]] void shim_fail(const char* what);
// An atomic operation is about to read and write these bytes.
void shim_atomic(const void* at, std::size_t bytes);
// Tells the runtime of an array in dynamic shared memory, which lies at what `find` returns.
int shim_add_dynamic_shared(void* (*find)(), std::size_t bytes);
// Runs `call(context)` once for every thread; returns 0, or 1 after an error, which `shim_error` tells.
int shim_run(const char* kernel, const ShimLaunch* launch, void (*call)(void*), void* context);
const char* shim_error();
}
