// How operations on pairs of queries and rows are divided among threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include "engine/kernels.hpp"
#include "machine/threads.hpp"

namespace graphkit {

// Coordinates of all pairs below which waking another thread costs more than it saves (some 50 us).
inline constexpr std::size_t kWorthThreads = std::size_t{1} << 20;

inline std::size_t coordinates_of(const PairInput& in) {
    return in.kind == PairKind::rotate ? in.row_width / 2 : in.row_width;
}

inline unsigned threads_worth(std::size_t pairs, const PairInput& in, unsigned threads) {
    return pairs * in.row_width < kWorthThreads ? 1 : threads;
}

// Runs part(begin, end) for coordinates that each thread has side by side: neighbours in a row share cache lines, which
// two threads that go through the rows at the same pace would take from each other.
template <class Part>
void for_coordinates(const PairInput& in, unsigned threads, const Part& part) {
    const std::size_t n = coordinates_of(in), lanes = kernels().lanes;
    in_steps(n, std::max<std::size_t>((n + threads * lanes - 1) / (threads * lanes), 1) * lanes, threads, part);
}

}  // namespace graphkit
