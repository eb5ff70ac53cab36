// Makes g++ take a .cu file as it is (by -include), so that tests run its kernels on the CPU.
//
// A launcher, tests/cuda/launchers/NAME.cpp, includes NAME.cu and exports its kernels:
//
//     #include "NAME.cu"
//     SHIM_KERNEL(name_rows_f32)
//     SHIM_DYNAMIC_SHARED(float4, tile)  // for `extern __shared__ float4 tile[];`
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "arithmetic.hpp"
#include "runtime.hpp"
#include "threads_together.hpp"
#include "vector_types.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)  // kept to by launcher.py
#define __align__(bytes) alignas(bytes)
// In a function this is static storage, and with `extern` a declaration; `static` would not do for both.
#define __shared__ thread_local

template <class T>
T __ldg(const T* at) {
    return *at;
}
#define __ldcg(at) __ldg(at)
#define __ldcs(at) __ldg(at)
template <class T>
void __stcs(T* at, T value) {
    *at = value;
}
#define __stcg(at, value) __stcs(at, value)

// What a type is, in a letter: see _DTYPES in module.py.
template <class T>
constexpr char shim_letter() {
    if constexpr (std::is_same_v<T, float>) return 'f';
    if constexpr (std::is_same_v<T, double>) return 'd';
    if constexpr (std::is_void_v<T>) return 'v';
    if constexpr (std::is_integral_v<T>)
        return sizeof(T) == 8 ? 'q' : sizeof(T) == 4 ? 'i' : sizeof(T) == 2 ? 'h' : 'b';
    return 's';
}

template <class T>
constexpr char shim_passing() {
    if constexpr (!std::is_pointer_v<T>) return '=';
    return std::is_const_v<std::remove_pointer_t<T>> ? 'c' : 'p';
}

template <class... A>
struct ShimCall {
    void (*kernel)(A...);
    void** arguments;

    SHIM_OWN static void call(void* self) {
        const auto* it = static_cast<ShimCall*>(self);
        it->pass(std::index_sequence_for<A...>{});
    }

    template <std::size_t... I>
    SHIM_OWN void pass(std::index_sequence<I...>) const {
        kernel(*static_cast<A*>(arguments[I])...);
    }

    // Two letters a parameter: a pointer (p), one to what is const (c) or a value (=), and the type.
    SHIM_OWN static const char* signature() {
        static char letters[2 * sizeof...(A) + 1];
        char* next = letters;
        ((*next++ = shim_passing<A>(), *next++ = shim_letter<std::remove_cv_t<std::remove_pointer_t<A>>>()), ...);
        return letters;
    }
};

template <class... A>
ShimCall<A...> shim_bind(void (*kernel)(A...), void** arguments) {
    return {kernel, arguments};
}

// Takes pointers to the arguments, as cuLaunchKernel does.
#define SHIM_KERNEL(name)                                                           \
    extern "C" int shim_launch_##name(const ShimLaunch* launch, void** arguments) { \
        auto bound = shim_bind(&name, arguments);                                   \
        return shim_run(#name, launch, &decltype(bound)::call, &bound);             \
    }                                                                               \
    extern "C" const char* shim_signature_##name() { return decltype(shim_bind(&name, nullptr))::signature(); }

// The most dynamic shared memory of a block, that of sm_90: 227 KiB.
constexpr std::size_t kShimSharedBytes = 227 * 1024;

#define SHIM_DYNAMIC_SHARED(type, name)                                   \
    alignas(128) thread_local type name[kShimSharedBytes / sizeof(type)]; \
    static const int shim_dynamic_##name =                                \
        shim_add_dynamic_shared([] { return static_cast<void*>(name); }, sizeof name);
