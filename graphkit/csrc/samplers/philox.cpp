#include "samplers/philox.hpp"

#include "machine/vectors.hpp"

namespace graphkit {

GRAPHKIT_VECTOR_CLONES
void SplitMix::fill_below(std::uint64_t size, std::span<std::int64_t> row) {
    const std::uint64_t start = state_;
    for (std::size_t i = 0; i < row.size(); ++i)
        row[i] = static_cast<std::int64_t>(scale(scramble(start + (i + 1) * kStep), size));
    state_ += row.size() * kStep;
}

}  // namespace graphkit
