// What an address that a kernel touches belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime.hpp"
#include "shared_memory.hpp"

namespace shim {

enum class Belongs { kPrivate, kGlobal, kShared, kNowhere };

class MemoryMap {
  public:
    // Arguments that overlap may be given.
    MemoryMap(const ShimLaunch&, SharedMemory);

    // Constants of the library are private: nothing that a kernel does to them can be seen.
    Belongs owner(const std::byte* at, std::size_t bytes) const;
    // As in "byte 8 of argument 2"; of what lies nowhere, the argument that lies next to it. Of shared arrays of fixed
    // size, as in "{fixed 64}": where that is among them, for Python to find the name.
    std::string name(const std::byte* at) const;
    // The size of that argument, or of dynamic shared memory, if that is what lies next to it.
    std::string size_of_nearest(const std::byte* at) const;

  private:
    struct Named {
        Bytes bytes;
        std::string name;
    };
    const Named& nearest(const std::byte* at) const;

    std::vector<Named> global_, shared_;
    Bytes image_;
    const std::byte* thread_local_begin_;
};

}  // namespace shim
