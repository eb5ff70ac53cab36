#include "machine/allocator.hpp"

#if defined(__GLIBC__) || __has_include(<gnu/libc-version.h>)
#include <malloc.h>
#define GRAPHKIT_GLIBC
#endif

namespace graphkit {

void keep_freed_memory() {
#if defined(GRAPHKIT_GLIBC)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

}  // namespace graphkit
