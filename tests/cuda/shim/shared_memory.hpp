// Where shared memory lies: `__shared__` is `thread_local` to the compiler, and one thread runs all.
#pragma once

#include <cstddef>
#include <vector>

namespace shim {

struct Bytes {
    std::byte* begin;
    std::size_t size;
};

// Shared arrays of fixed size, all together, and those whose size a launch gives.
struct SharedMemory {
    std::vector<Bytes> fixed, dynamic;
    std::byte* begin = nullptr;
    // All else that the library consists of.
    Bytes image{nullptr, 0};
};

// That of the calling thread of the system.
SharedMemory find_shared_memory();

// Fills it with bytes 0xFF (NaN, or -1), since a block finds there what others left.
void spoil(const SharedMemory&, std::size_t dynamic_bytes);

}  // namespace shim
