// Large arrays that live for a step: memory that is given back is kept for the next array of a like size. The system
// would take it away, and hand it out again page by page, zeroed, which costs more than most of what is done with it
// (65 MB of gradients: 30 ms of 55).
#pragma once

#include <cstddef>
#include <memory>

namespace graphkit {

// Memory of at least `bytes`, with whatever it last held, in huge pages where the kernel grants them; the pool takes it
// back with the last reference.
std::shared_ptr<void> take_buffer(std::size_t bytes);

// Bytes that the pool keeps for later, at most kMostKept.
std::size_t kept_bytes();
constexpr std::size_t kMostKept = std::size_t{1} << 30;

}  // namespace graphkit
