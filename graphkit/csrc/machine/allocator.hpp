// The C library's allocator, which torch's tensors on the CPU come from.
#pragma once

namespace graphkit {

// Lets the process keep up to a GiB of what it frees, and serves arrays below 32 MiB from that: a step of training
// frees and asks for the same arrays again and again, and pages that went back to the system come zeroed, one by one.
// Does nothing where the allocator is not glibc's.
void keep_freed_memory();

}  // namespace graphkit
