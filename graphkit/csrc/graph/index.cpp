#include "graph/index.hpp"

#include "graph/radix_sort.hpp"

namespace graphkit {
namespace {

using Key = std::uint64_t;  // (relation << 32) | target: ascending order of keys is the order of the index

// Keys of all directed edges, grouped by head: the slice of head x is [starts[x], starts[x + 1]).
struct GroupedKeys {
    std::vector<std::uint64_t> starts;
    std::vector<Key> keys;
};

GroupedKeys group_by_head(Triples triples, std::uint64_t num_entities) {
    GroupedKeys grouped{std::vector<std::uint64_t>(num_entities + 2), std::vector<Key>(2 * triples.rows)};
    auto& starts = grouped.starts;
    for (std::uint64_t i = 0; i < triples.rows; ++i) {
        ++starts[triples.data[3 * i] + 2];
        ++starts[triples.data[3 * i + 2] + 2];
    }
    for (std::size_t x = 2; x < starts.size(); ++x) starts[x] += starts[x - 1];
    // starts[x + 1] is now the write cursor of head x; after the scatter it is the end of its slice.
    for (std::uint64_t i = 0; i < triples.rows; ++i) {
        const auto head = static_cast<Key>(triples.data[3 * i]);
        const auto relation = static_cast<Key>(triples.data[3 * i + 1]);
        const auto tail = static_cast<Key>(triples.data[3 * i + 2]);
        grouped.keys[starts[head + 1]++] = (2 * relation) << 32 | tail;
        grouped.keys[starts[tail + 1]++] = (2 * relation + 1) << 32 | head;
    }
    starts.pop_back();
    return grouped;
}

}  // namespace

std::uint64_t first_bad_row(Triples triples, std::uint64_t num_entities, std::uint64_t num_relations) {
    const auto outside = [](std::int64_t id, std::uint64_t size) { return static_cast<std::uint64_t>(id) >= size; };
    for (std::uint64_t i = 0; i < triples.rows; ++i) {
        const std::int64_t* t = triples.data + 3 * i;
        if (outside(t[0], num_entities) || outside(t[1], num_relations) || outside(t[2], num_entities)) return i;
    }
    return triples.rows;
}

template <class Rel, class Offset>
IndexArrays<Rel, Offset> build_index(Triples triples, std::uint64_t num_entities) {
    GroupedKeys grouped = group_by_head(triples, num_entities);
    IndexArrays<Rel, Offset> out;
    out.entity_runs.reserve(num_entities + 1);
    out.entity_runs.push_back(0);
    out.targets.reserve(grouped.keys.size());
    std::vector<Key> scratch;
    std::uint64_t dropped = 0;
    for (std::uint64_t x = 0; x < num_entities; ++x) {
        const std::span<Key> slice(grouped.keys.data() + grouped.starts[x], grouped.starts[x + 1] - grouped.starts[x]);
        radix_sort(slice, scratch);
        for (std::size_t i = 0; i < slice.size(); ++i) {
            if (i > 0 && slice[i] == slice[i - 1]) {
                ++dropped;
                continue;
            }
            if (i == 0 || slice[i] >> 32 != slice[i - 1] >> 32) {
                out.run_relations.push_back(static_cast<Rel>(slice[i] >> 32));
                out.run_starts.push_back(static_cast<Offset>(out.targets.size()));
            }
            out.targets.push_back(static_cast<Entity>(slice[i]));
        }
        out.entity_runs.push_back(static_cast<Offset>(out.run_relations.size()));
    }
    out.run_starts.push_back(static_cast<Offset>(out.targets.size()));
    out.duplicates = dropped / 2;  // every raw triple is there once in each direction
    return out;
}

template IndexArrays<std::uint16_t, std::uint32_t> build_index(Triples, std::uint64_t);
template IndexArrays<std::uint32_t, std::uint32_t> build_index(Triples, std::uint64_t);
template IndexArrays<std::uint16_t, std::uint64_t> build_index(Triples, std::uint64_t);
template IndexArrays<std::uint32_t, std::uint64_t> build_index(Triples, std::uint64_t);

}  // namespace graphkit
