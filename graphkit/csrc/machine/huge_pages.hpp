// Huge pages for memory that somebody else allocated: rows at random miss the TLB for every 4 KiB otherwise.
#pragma once

#include <cstddef>

namespace graphkit {

// Bytes of a huge page of the processors that have them by the madvise of Linux.
constexpr std::size_t kHugePage = std::size_t{1} << 21;

// Asks the kernel to hold the whole huge pages within some memory as such, and to move at once what is there already.
// Refusal costs speed, nothing else.
void use_huge_pages(void* data, std::size_t bytes);

}  // namespace graphkit
