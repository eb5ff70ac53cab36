#include "engine/id_resolver.hpp"

#include <algorithm>
#include <bit>

namespace graphkit {

void IdResolver::clear() { std::ranges::fill(words_, 0); }

std::optional<std::size_t> IdResolver::add(std::span<const std::int64_t> ids) {
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (static_cast<std::uint64_t>(ids[i]) >= num_ids_) return i;
    for (const std::int64_t id : ids) words_[id / 64] |= std::uint64_t{1} << (id % 64);
    return std::nullopt;
}

std::size_t IdResolver::finish() {
    std::uint32_t count = 0;
    for (std::size_t word = 0; word < words_.size(); ++word) {
        before_[word] = count;
        count += static_cast<std::uint32_t>(std::popcount(words_[word]));
    }
    return count;
}

void IdResolver::write(std::span<std::int64_t> ids) const {
    std::size_t place = 0;
    for (std::size_t word = 0; word < words_.size(); ++word)
        for (std::uint64_t left = words_[word]; left != 0; left &= left - 1)
            ids[place++] = static_cast<std::int64_t>(64 * word + std::countr_zero(left));
}

void IdResolver::locate(std::span<const std::int64_t> ids, std::span<std::int64_t> places) const {
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const std::uint64_t id = ids[i], below = (std::uint64_t{1} << (id % 64)) - 1;
        places[i] = before_[id / 64] + std::popcount(words_[id / 64] & below);
    }
}

void IdResolver::contains(std::span<const std::int64_t> ids, std::span<bool> found) const {
    for (std::size_t i = 0; i < ids.size(); ++i) found[i] = words_[ids[i] / 64] >> (ids[i] % 64) & 1;
}

}  // namespace graphkit
