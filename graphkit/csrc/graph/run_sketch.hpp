// A sketch of a long run: what says of most entities that they are not in it, from one cache line.
//
// Looking for an entity in a run of a million reads several lines, one after the other. A sketch is a Bloom filter
// whose bits for an entity lie in one word (Putze, Sanders and Singler, JEA 2009), 16 bits for a member: of the
// entities that are none, one in some 200 passes.
#pragma once

#include <cstdint>
#include <span>

namespace graphkit {

using Entity = std::uint32_t;

class RunSketch {
  public:
    static constexpr std::uint64_t kFrom = 128;  // members of a run that has a sketch
    static constexpr std::uint64_t kMembersOfWord = 4;

    RunSketch() = default;

    // Sketches lie in the order of the runs, so that the place of a run among the edges is that of its sketch.
    template <class Word>
    static auto words_of(std::span<Word> all, std::uint64_t start, std::uint64_t size) {
        const std::uint64_t first = (start + kMembersOfWord - 1) / kMembersOfWord;
        return all.subspan(first, (start + size) / kMembersOfWord - first);
    }
    static RunSketch at(std::span<const std::uint64_t> all, std::uint64_t start, std::uint64_t size) {
        RunSketch made;
        made.words_ = words_of(all, start, size);
        return made;
    }

    explicit operator bool() const { return !words_.empty(); }

    // Whether x may be a member.
    bool may_hold(Entity x) const {
        const std::uint64_t h = hash(x), bits = bits_of(h);
        return (words_[place(h, words_.size())] & bits) == bits;
    }
    // Fetches what `may_hold` reads.
    void fetch(Entity x) const { __builtin_prefetch(&words_[place(hash(x), words_.size())]); }

    static void insert(std::span<std::uint64_t> words, Entity x) {
        const std::uint64_t h = hash(x);
        words[place(h, words.size())] |= bits_of(h);
    }

  private:
    static std::uint64_t hash(Entity x) {
        std::uint64_t h = x * 0x9E3779B97F4A7C15ULL;
        h ^= h >> 32;
        return h * 0xBF58476D1CE4E5B9ULL;
    }
    static std::uint64_t place(std::uint64_t h, std::uint64_t size) {
        return static_cast<std::uint64_t>(static_cast<unsigned __int128>(h) * size >> 64);
    }
    static std::uint64_t bits_of(std::uint64_t h) {
        return 1ULL << (h & 63) | 1ULL << (h >> 6 & 63) | 1ULL << (h >> 12 & 63) | 1ULL << (h >> 18 & 63);
    }

    std::span<const std::uint64_t> words_;
};

}  // namespace graphkit
