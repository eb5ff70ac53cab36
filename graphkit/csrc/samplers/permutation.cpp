#include "samplers/permutation.hpp"

#include <algorithm>

#include "machine/vectors.hpp"

namespace graphkit {
namespace {

constexpr std::size_t kAtOnce = 256;

}  // namespace

// All walk a step, then those that are still outside of the range.
GRAPHKIT_VECTOR_CLONES
void EpochPermutation::fill(std::uint64_t first, std::span<std::int64_t> to) const {
    std::uint64_t values[kAtOnce];
    std::uint32_t places[kAtOnce];
    for (; !to.empty(); first += kAtOnce, to = to.subspan(std::min(kAtOnce, to.size()))) {
        std::size_t left = std::min(kAtOnce, to.size());
        for (std::size_t i = 0; i < left; ++i) values[i] = first + i;
        for (std::uint32_t i = 0; i < left; ++i) places[i] = i;
        while (left > 0) {
            for (std::size_t i = 0; i < left; ++i) values[i] = network(values[i]);
            std::size_t outside = 0;
            for (std::size_t i = 0; i < left; ++i) {
                const std::uint64_t value = values[i];
                to[places[i]] = static_cast<std::int64_t>(value);
                values[outside] = value;
                places[outside] = places[i];
                outside += value >= size_;
            }
            left = outside;
        }
    }
}

void Epochs::fill(std::uint64_t position, std::span<std::int64_t> to) {
    while (!to.empty()) {
        turn_to(position / size_);
        const std::uint64_t first = position % size_, count = std::min<std::uint64_t>(to.size(), size_ - first);
        order_.fill(first, to.first(count));
        to = to.subspan(count);
        position += count;
    }
}

}  // namespace graphkit
