// What kernels call that were compiled with -fsanitize=thread and -fsanitize=undefined: the functions that gcc
// documents no further than by their names, and by how its own sanitizers' libraries (which are not linked) declare
// them.
#include <cstddef>
#include <cstdint>

#include "scheduler.hpp"

using shim::Kind;

namespace {

void access(const void* at, std::size_t bytes, Kind kind, const void* place) {
    shim::scheduler().access(static_cast<const std::byte*>(at), bytes, kind, place);
}

}  // namespace

// NOLINTBEGIN: the names are gcc's
extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

#define SHIM_HOOKS(bytes)                                                                                          \
    void __tsan_read##bytes(void* at) { access(at, bytes, Kind::kRead, __builtin_return_address(0)); }             \
    void __tsan_write##bytes(void* at) { access(at, bytes, Kind::kWrite, __builtin_return_address(0)); }           \
    void __tsan_unaligned_read##bytes(void* at) { access(at, bytes, Kind::kRead, __builtin_return_address(0)); }   \
    void __tsan_unaligned_write##bytes(void* at) { access(at, bytes, Kind::kWrite, __builtin_return_address(0)); } \
    void __tsan_volatile_read##bytes(void* at) { access(at, bytes, Kind::kRead, __builtin_return_address(0)); }    \
    void __tsan_volatile_write##bytes(void* at) { access(at, bytes, Kind::kWrite, __builtin_return_address(0)); }

SHIM_HOOKS(1)
SHIM_HOOKS(2)
SHIM_HOOKS(4)
SHIM_HOOKS(8)
SHIM_HOOKS(16)

void __tsan_read_range(void* at, std::size_t bytes) { access(at, bytes, Kind::kRead, __builtin_return_address(0)); }
void __tsan_write_range(void* at, std::size_t bytes) { access(at, bytes, Kind::kWrite, __builtin_return_address(0)); }

#ifndef __SANITIZE_ADDRESS__  // then the sanitizer's own library is there
// The description of every kind of undefined behaviour begins with where it is.
struct ShimUndefined {
    const char* file;
    std::uint32_t line, column;
};

#define SHIM_UNDEFINED(name, what)                                                                \
    [[noreturn]] void __ubsan_handle_##name##_abort(const ShimUndefined* where, std::uintptr_t) { \
        shim::scheduler().fail_here(what " in line " + std::to_string(where->line));              \
    }

SHIM_UNDEFINED(type_mismatch_v1, "uses an address that is null, or not aligned as its type needs,")
SHIM_UNDEFINED(out_of_bounds, "uses an index beyond the bounds of an array")
SHIM_UNDEFINED(shift_out_of_bounds, "shifts by fewer than 0 bits, or by more than there are,")
SHIM_UNDEFINED(add_overflow, "adds beyond the range of a signed integer")
SHIM_UNDEFINED(sub_overflow, "subtracts beyond the range of a signed integer")
SHIM_UNDEFINED(mul_overflow, "multiplies beyond the range of a signed integer")
SHIM_UNDEFINED(negate_overflow, "negates beyond the range of a signed integer")
SHIM_UNDEFINED(divrem_overflow, "divides by zero, or beyond the range of a signed integer,")
#endif

void shim_atomic(const void* at, std::size_t bytes) { access(at, bytes, Kind::kAtomic, __builtin_return_address(0)); }
}
// NOLINTEND
