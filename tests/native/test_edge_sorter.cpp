// The external sort against the index that is built in memory.
#include <unistd.h>

#include <cstdio>
#include <random>
#include <system_error>
#include <vector>

#include "check.hpp"
#include "graph/edge_sorter.hpp"
#include "graph/index.hpp"
#include "graph/radix_sort.hpp"

using namespace graphkit;

namespace {

using Rows = std::vector<std::int64_t>;
using Arrays = IndexArrays<std::uint32_t, std::uint32_t>;

class TemporaryFile {
  public:
    TemporaryFile() : file_(std::tmpfile()) {}
    ~TemporaryFile() { std::fclose(file_); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    int number() const { return fileno(file_); }

  private:
    std::FILE* file_;
};

// A tenth of the triples start at entity 0, and the last ones repeat the first.
Rows rows_with_a_hub(std::uint64_t count, std::uint64_t entities, std::uint64_t relations) {
    std::mt19937_64 random(1);
    Rows rows;
    for (std::uint64_t i = 0; i < count; ++i) {
        rows.push_back(i < count / 10 ? 0 : static_cast<std::int64_t>(random() % entities));
        rows.push_back(static_cast<std::int64_t>(random() % relations));
        rows.push_back(static_cast<std::int64_t>(random() % entities));
    }
    for (std::uint64_t i = 0; i < count / 4; ++i) rows[rows.size() - 1 - i] = rows[2 - i % 3];
    return rows;
}

// The pieces of an external sort, put together: the definition of what they mean.
Arrays put_together(EdgeSorter& sorter, std::uint64_t entities, std::uint64_t piece_edges) {
    Arrays out;
    std::uint64_t dropped = 0;
    std::vector<Entity> heads;
    const std::size_t pieces = sorter.finish();
    bool small = true;
    for (std::size_t p = 0; p < pieces; ++p) {
        const SortedEdges piece = sorter.piece(p);
        small = small && !piece.targets.empty() && piece.targets.size() <= piece_edges;
        for (std::size_t i = 0; i < piece.run_heads.size(); ++i) {
            if (!heads.empty() && heads.back() == piece.run_heads[i] &&
                out.run_relations.back() == piece.run_relations[i])
                continue;
            heads.push_back(piece.run_heads[i]);
            out.run_relations.push_back(piece.run_relations[i]);
            out.run_starts.push_back(static_cast<std::uint32_t>(out.targets.size() + piece.run_starts[i]));
        }
        out.targets.insert(out.targets.end(), piece.targets.begin(), piece.targets.end());
        dropped += piece.dropped;
    }
    CHECK(small);
    for (std::uint64_t x = 0; x <= entities; ++x)
        out.entity_runs.push_back(
            static_cast<std::uint32_t>(std::lower_bound(heads.begin(), heads.end(), x) - heads.begin()));
    out.run_starts.push_back(static_cast<std::uint32_t>(out.targets.size()));
    out.duplicates = dropped / 2;
    return out;
}

void equals_the_build_in_memory(const Rows& rows, std::uint64_t entities, std::uint64_t relations,
                                std::uint64_t piece_edges) {
    const Triples triples{rows.data(), rows.size() / 3};
    const Arrays expected = build_index<std::uint32_t, std::uint32_t>(triples, entities);
    const TemporaryFile file;
    const auto sorter = make_edge_sorter(file.number(), entities, relations, piece_edges);
    const std::uint64_t half = triples.rows / 2;
    sorter->add({triples.data, half});
    sorter->add({triples.data + 3 * half, triples.rows - half});
    const Arrays found = put_together(*sorter, entities, piece_edges);
    CHECK(found.entity_runs == expected.entity_runs);
    CHECK(found.run_relations == expected.run_relations);
    CHECK(found.run_starts == expected.run_starts);
    CHECK(found.targets == expected.targets);
    CHECK_EQ(found.duplicates, expected.duplicates);
}

}  // namespace

TEST(pieces_of_any_size_make_the_index) {
    for (const std::uint64_t entities : {1, 2, 30, 1024, 1025, 50'000})
        for (const std::uint64_t piece_edges : {1, 5, 300, 100'000})
            equals_the_build_in_memory(rows_with_a_hub(2000, entities, 6), entities, 6, piece_edges);
}

TEST(keys_wider_than_64_bits_make_the_index) {
    const std::uint64_t entities = (1 << 21) + 1, relations = (1U << 31) - 1;
    for (const std::uint64_t piece_edges : {20, 100'000})
        equals_the_build_in_memory(rows_with_a_hub(6000, entities, relations), entities, relations, piece_edges);
}

TEST(blocks_longer_than_a_write_buffer_make_the_index) {
    equals_the_build_in_memory(rows_with_a_hub(60'000, 5, 40), 5, 40, 20'000);
    equals_the_build_in_memory(rows_with_a_hub(60'000, 5, 40), 5, 40, 1'000'000);
}

TEST(no_triples_make_no_pieces) {
    const TemporaryFile file;
    CHECK_EQ(make_edge_sorter(file.number(), 10, 2, 100)->finish(), 0);
}

TEST(a_file_that_cannot_be_written_is_a_system_error) {
    const Rows rows = rows_with_a_hub(100, 10, 2);
    const auto sorter = make_edge_sorter(-1, 10, 2, 100'000);
    sorter->add({rows.data(), 100});
    CHECK_THROWS(sorter->finish(), std::system_error);
}

TEST(the_radix_sort_sorts_keys_of_128_bits) {
    std::mt19937_64 random(2);
    std::vector<unsigned __int128> keys(5000), scratch;
    for (auto& key : keys) key = static_cast<unsigned __int128>(random() % 100) << 90 | random();
    auto expected = keys;
    std::sort(expected.begin(), expected.end());
    radix_sort(std::span<unsigned __int128>(keys), scratch);
    CHECK(keys == expected);
}

CHECK_MAIN()
