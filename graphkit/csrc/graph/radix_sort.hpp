// Least-significant-digit radix sort of unsigned keys.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace graphkit {

// Shorter slices are left to the comparison sort: a radix pass touches 256 counters whatever the length.
constexpr std::size_t kRadixFrom = 2048;

// Key is an unsigned integer of 64 or 128 bits. `scratch` grows to the size of `keys` and may be used again.
template <class Key>
void radix_sort(std::span<Key> keys, std::vector<Key>& scratch) {
    if (keys.size() < kRadixFrom) {
        std::sort(keys.begin(), keys.end());
        return;
    }
    Key used_bits = 0;
    for (const Key key : keys) used_bits |= key ^ keys[0];
    scratch.resize(keys.size());
    std::span<Key> from = keys, to(scratch.data(), keys.size());
    for (unsigned shift = 0; shift < 8 * sizeof(Key); shift += 8) {
        if (((used_bits >> shift) & 0xff) == 0) continue;  // all keys agree in this digit
        std::array<std::size_t, 256> place{};
        for (const Key key : from) ++place[(key >> shift) & 0xff];
        std::size_t sum = 0;
        for (std::size_t& p : place) {
            const std::size_t count = p;
            p = sum;
            sum += count;
        }
        for (const Key key : from) to[place[(key >> shift) & 0xff]++] = key;
        std::swap(from, to);
    }
    if (from.data() != keys.data()) std::copy(from.begin(), from.end(), keys.begin());
}

}  // namespace graphkit
