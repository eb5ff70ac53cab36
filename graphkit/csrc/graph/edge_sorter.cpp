#include "graph/edge_sorter.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>

#include "graph/radix_sort.hpp"

namespace graphkit {
namespace {

using WideKey = unsigned __int128;

constexpr unsigned kBucketBits = 10;             // 1,024 buckets, with a buffer of a block each
constexpr unsigned kSplitBits = 8;               // parts that a large bucket is split into
constexpr std::uint64_t kBlockBytes = 64 << 10;  // long enough for a disk, and short enough for a buffer a bucket

// Calls `transfer(done)` until `bytes` have been read or written, which a signal or a large size may cut short.
template <class Transfer>
void transfer_all(std::size_t bytes, Transfer transfer) {
    for (std::size_t done = 0; done < bytes;) {
        const ssize_t count = transfer(done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) throw std::system_error(count < 0 ? errno : EIO, std::generic_category());
        done += static_cast<std::size_t>(count);
    }
}

// A file that grows by blocks of keys.
template <class Key>
class Spill {
  public:
    explicit Spill(int file) : file_(file) {}

    // Returns where the block lies.
    std::uint64_t write(const Key* keys, std::size_t count) {
        const std::uint64_t place = std::exchange(end_, end_ + count * sizeof(Key));
        const auto* bytes = reinterpret_cast<const char*>(keys);
        transfer_all(count * sizeof(Key), [&](std::size_t done) {
            return pwrite(file_, bytes + done, count * sizeof(Key) - done, static_cast<off_t>(place + done));
        });
        return place;
    }

    void read(std::uint64_t place, Key* keys, std::size_t count) const {
        auto* bytes = reinterpret_cast<char*>(keys);
        transfer_all(count * sizeof(Key), [&](std::size_t done) {
            return pread(file_, bytes + done, count * sizeof(Key) - done, static_cast<off_t>(place + done));
        });
    }

  private:
    int file_;
    std::uint64_t end_ = 0;
};

// Keys in a file, in blocks that are full but for the last.
struct Stored {
    std::vector<std::uint64_t> blocks;
    std::uint64_t keys = 0;
};

// Deals keys to parts, with a buffer of one block for each.
template <class Key>
class Partition {
  public:
    Partition(Spill<Key>& spill, std::size_t parts, std::size_t block_keys)
        : spill_(spill), block_keys_(block_keys), buffers_(parts * block_keys), filled_(parts), stored_(parts) {}

    void put(std::size_t part, Key key) {
        buffers_[part * block_keys_ + filled_[part]++] = key;
        if (filled_[part] == block_keys_) flush(part);
    }

    // Writes what is buffered and returns the parts.
    std::vector<Stored> close() {
        for (std::size_t part = 0; part < stored_.size(); ++part)
            if (filled_[part] > 0) flush(part);
        buffers_ = std::vector<Key>();  // its memory goes too
        return std::move(stored_);
    }

  private:
    void flush(std::size_t part) {
        const std::size_t count = std::exchange(filled_[part], 0);
        stored_[part].blocks.push_back(spill_.write(buffers_.data() + part * block_keys_, count));
        stored_[part].keys += count;
    }

    Spill<Key>& spill_;
    std::size_t block_keys_;
    std::vector<Key> buffers_;         // a block for each part
    std::vector<std::size_t> filled_;  // keys in each buffer
    std::vector<Stored> stored_;
};

template <class Key>
class KeySorter final : public EdgeSorter {
  public:
    KeySorter(int file, unsigned entity_bits, unsigned relation_bits, std::uint64_t piece_edges)
        : entity_bits_(entity_bits),
          relation_bits_(relation_bits),
          low_head_bits_(entity_bits > kBucketBits ? entity_bits - kBucketBits : 0),
          piece_keys_(piece_edges),
          block_keys_(std::min<std::uint64_t>(kBlockBytes / sizeof(Key), piece_edges)),
          spill_(file),
          buckets_(spill_, std::size_t{1} << (entity_bits - low_head_bits_), block_keys_) {}

    void add(Triples triples) override {
        for (std::uint64_t i = 0; i < triples.rows; ++i) {
            const auto head = static_cast<std::uint64_t>(triples.data[3 * i]);
            const auto relation = static_cast<std::uint64_t>(triples.data[3 * i + 1]);
            const auto tail = static_cast<std::uint64_t>(triples.data[3 * i + 2]);
            buckets_.put(head >> low_head_bits_, pack(head, 2 * relation, tail));
            buckets_.put(tail >> low_head_bits_, pack(tail, 2 * relation + 1, head));
        }
    }

    std::size_t finish() override {
        std::vector<Stored> buckets = buckets_.close();
        for (std::size_t number = 0; number < buckets.size(); ++number)
            split(std::move(buckets[number]), number, low_head_bits_ + relation_bits_ + entity_bits_);
        return pieces_.size();
    }

    SortedEdges piece(std::size_t number) const override {
        const Piece& piece = pieces_[number];
        const std::vector<Key> keys = sorted(piece.stored);
        const auto starts_run = [&](std::size_t i) {
            return i == 0 || keys[i] >> entity_bits_ != keys[i - 1] >> entity_bits_;
        };
        std::size_t runs = 0;  // counted first: arrays that grow take up to three times their size
        for (std::size_t i = 0; i < keys.size(); ++i) runs += starts_run(i);
        SortedEdges out;
        out.dropped = piece.dropped;
        out.run_heads.reserve(runs);
        out.run_relations.reserve(runs);
        out.run_starts.reserve(runs);
        out.targets.reserve(keys.size());
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (i > 0 && keys[i] == keys[i - 1]) {
                ++out.dropped;
                continue;
            }
            if (starts_run(i)) {
                const Key low_head = keys[i] >> (entity_bits_ + relation_bits_);
                out.run_heads.push_back(static_cast<Entity>(piece.bucket << low_head_bits_ | low_head));
                out.run_relations.push_back(
                    static_cast<std::uint32_t>(lowest(keys[i] >> entity_bits_, relation_bits_)));
                out.run_starts.push_back(static_cast<std::uint32_t>(out.targets.size()));
            }
            out.targets.push_back(static_cast<Entity>(lowest(keys[i], entity_bits_)));
        }
        return out;
    }

  private:
    struct Piece {
        Stored stored;
        std::uint64_t bucket;
        std::uint64_t dropped;
    };

    static Key lowest(Key key, unsigned bits) { return key & ((Key{1} << bits) - 1); }

    Key pack(std::uint64_t head, std::uint64_t relation, std::uint64_t target) const {
        return (lowest(head, low_head_bits_) << relation_bits_ | relation) << entity_bits_ | target;
    }

    // Makes pieces of keys of one bucket that may differ in their lowest `bits` bits alone.
    void split(Stored stored, std::uint64_t bucket, unsigned bits) {
        if (stored.keys == 0) return;
        if (stored.keys <= piece_keys_) {
            pieces_.push_back({std::move(stored), bucket, 0});
        } else if (bits == 0) {  // one edge, added again and again
            pieces_.push_back({{{stored.blocks[0]}, 1}, bucket, stored.keys - 1});
        } else {
            const unsigned digits = std::min(bits, kSplitBits), shift = bits - digits;
            Partition<Key> partition(spill_, std::size_t{1} << digits, block_keys_);
            std::vector<Key> block(block_keys_);
            for_blocks(stored, [&](std::uint64_t place, std::size_t count) {
                spill_.read(place, block.data(), count);
                for (std::size_t i = 0; i < count; ++i)
                    partition.put(static_cast<std::size_t>(lowest(block[i] >> shift, digits)), block[i]);
            });
            for (Stored& part : partition.close()) split(std::move(part), bucket, shift);
        }
    }

    std::vector<Key> sorted(const Stored& stored) const {
        std::vector<Key> keys(stored.keys), scratch;
        Key* next = keys.data();
        for_blocks(stored, [&](std::uint64_t place, std::size_t count) {
            spill_.read(place, next, count);
            next += count;
        });
        radix_sort(std::span<Key>(keys), scratch);
        return keys;
    }

    template <class Visitor>
    void for_blocks(const Stored& stored, Visitor visit) const {
        for (std::uint64_t b = 0; b < stored.blocks.size(); ++b)
            visit(stored.blocks[b], std::min<std::uint64_t>(block_keys_, stored.keys - b * block_keys_));
    }

    unsigned entity_bits_, relation_bits_, low_head_bits_;
    std::uint64_t piece_keys_, block_keys_;
    Spill<Key> spill_;
    Partition<Key> buckets_;
    std::vector<Piece> pieces_;
};

}  // namespace

std::unique_ptr<EdgeSorter> make_edge_sorter(int file, std::uint64_t num_entities, std::uint64_t num_relations,
                                             std::uint64_t piece_edges) {
    const auto entity_bits = static_cast<unsigned>(std::bit_width(num_entities - 1));
    const auto relation_bits = static_cast<unsigned>(std::bit_width(2 * num_relations - 1));
    const unsigned key_bits = entity_bits + relation_bits + (entity_bits > kBucketBits ? entity_bits - kBucketBits : 0);
    if (key_bits <= 64)
        return std::make_unique<KeySorter<std::uint64_t>>(file, entity_bits, relation_bits, piece_edges);
    return std::make_unique<KeySorter<WideKey>>(file, entity_bits, relation_bits, piece_edges);
}

}  // namespace graphkit
