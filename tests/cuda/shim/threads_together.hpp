// Barriers, calls of a warp, and atomic operations.
#pragma once

#include <cstdint>
#include <cstring>

#include "runtime.hpp"

// The shim's own reads and writes are not the kernel's.
#define SHIM_OWN __attribute__((no_sanitize("thread")))

// Errors tell the line of the kernel's source.
#define __syncthreads() shim_sync_threads(__FILE__, __LINE__)
#define __syncwarp(...) ShimLine{__LINE__}.sync_warp(__VA_ARGS__)
#define __shfl_sync(...) shim_shuffle(kShimShuffle, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) shim_shuffle(kShimShuffleUp, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) shim_shuffle(kShimShuffleDown, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) shim_shuffle(kShimShuffleXor, __LINE__, __VA_ARGS__)
#define __ballot_sync(mask, predicate) shim_vote(__LINE__, mask, predicate)
#define __any_sync(mask, predicate) (shim_vote(__LINE__, mask, predicate) != 0 ? 1 : 0)
#define __all_sync(mask, predicate) (shim_vote(__LINE__, mask, !(predicate)) == 0 ? 1 : 0)

struct ShimLine {
    int line;

    SHIM_OWN void sync_warp(unsigned mask = 0xFFFFFFFFU) const {
        const ShimWarpCall call{kShimSync, mask, 0, 0, warpSize, line};
        shim_warp(&call);
    }
};

template <class T>
SHIM_OWN T shim_shuffle(ShimWarpKind kind, int line, unsigned mask, T value, int operand, int width = warpSize) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t), "a shuffle takes 4 or 8 bytes");
    ShimWarpCall call{kind, mask, 0, operand, width, line};
    std::memcpy(&call.value, &value, sizeof value);
    const std::uint64_t bits = shim_warp(&call);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

SHIM_OWN inline unsigned shim_vote(int line, unsigned mask, bool predicate) {
    const ShimWarpCall call{kShimBallot, mask, predicate ? 1U : 0U, 0, warpSize, line};
    return static_cast<unsigned>(shim_warp(&call));
}

// Threads take turns only where they wait, so nothing comes between the reading and the writing.
template <class T>
SHIM_OWN T shim_load(const T* at) {
    return *at;
}

template <class T>
SHIM_OWN void shim_store(T* at, T value) {
    *at = value;
}

// Inlined, so that the access is one of the kernel's line.
#define SHIM_INLINE __attribute__((always_inline)) inline

#define SHIM_ATOMIC(name, type, result)           \
    SHIM_INLINE type name(type* at, type value) { \
        shim_atomic(at, sizeof(type));            \
        const type old = shim_load(at);           \
        shim_store<type>(at, (result));           \
        return old;                               \
    }
#define SHIM_ATOMICS_OF_INTEGERS(type)                                \
    SHIM_ATOMIC(atomicMax, type, old < value ? value : old)           \
    SHIM_ATOMIC(atomicMin, type, value < old ? value : old)           \
    SHIM_ATOMIC(atomicOr, type, old | value)                          \
    SHIM_ATOMIC(atomicAnd, type, old& value)                          \
    SHIM_ATOMIC(atomicXor, type, old ^ value)                         \
    SHIM_ATOMIC(atomicExch, type, (static_cast<void>(old), value))    \
    SHIM_INLINE type atomicCAS(type* at, type expected, type value) { \
        shim_atomic(at, sizeof(type));                                \
        const type old = shim_load(at);                               \
        if (old == expected) shim_store(at, value);                   \
        return old;                                                   \
    }

SHIM_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value)))
SHIM_ATOMIC(atomicAdd, unsigned, old + value)
SHIM_ATOMIC(atomicAdd, unsigned long long, old + value)
SHIM_ATOMIC(atomicAdd, float, old + value)
SHIM_ATOMIC(atomicAdd, double, old + value)
SHIM_ATOMIC(atomicSub, unsigned, old - value)
SHIM_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(value)))
SHIM_ATOMIC(atomicExch, float, (static_cast<void>(old), value))
SHIM_ATOMICS_OF_INTEGERS(int)
SHIM_ATOMICS_OF_INTEGERS(unsigned)
SHIM_ATOMICS_OF_INTEGERS(unsigned long long)

inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { shim_fail("traps"); }
