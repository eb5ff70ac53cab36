// How fast this machine reads cache lines at random: what bounds a sampler on a graph that no cache holds.
#pragma once

#include <cstdint>

namespace graphkit {

struct RandomLines {
    double independent_per_second;  // lines of all threads together, addresses known ahead and prefetched
    double dependent_seconds;       // of one load whose address is what the load before brought
};

// Reads 64-byte lines of a table of `bytes` (at least one line) in huge pages where the kernel grants them:
// `loads` on each of `threads` threads with a software prefetch `ahead` lines before, then as many dependent ones
// as take a like time, on one thread.
RandomLines measure_random_lines(std::uint64_t bytes, unsigned threads, std::uint64_t loads, unsigned ahead);

}  // namespace graphkit
