#include "machine/huge_pages.hpp"

#include <sys/mman.h>

#include <cstdint>

// Linux 6.1; headers may be older than the kernel.
#if defined(__linux__) && !defined(MADV_COLLAPSE)
#define MADV_COLLAPSE 25
#endif

namespace graphkit {

void use_huge_pages(void* data, std::size_t bytes) {
#if defined(__linux__)
    const auto start = reinterpret_cast<std::uintptr_t>(data);
    const std::uintptr_t first = (start + kHugePage - 1) / kHugePage * kHugePage;
    const std::uintptr_t last = (start + bytes) / kHugePage * kHugePage;
    if (first >= last) return;
    auto* pages = reinterpret_cast<void*>(first);
    if (madvise(pages, last - first, MADV_HUGEPAGE) == 0) madvise(pages, last - first, MADV_COLLAPSE);
#else
    static_cast<void>(data);
    static_cast<void>(bytes);
#endif
}

}  // namespace graphkit
