// External sort of the directed edges of a stream of triples, for graphs whose edges do not fit in memory.
//
// Every triple gives two keys, forward under the head and inverse under the tail. A key packs head, directed relation
// and target into 64 bits where they fit and 128 otherwise: the highest bits of the head are left to the number of the
// bucket that the key falls into. Buckets are spilled in blocks to one file. A bucket of more keys than a piece may
// hold (a hub's) is split again by the next bits of its keys, however often it takes, so that memory is bounded
// whatever the degrees are. Pieces follow one another in the order of the index and may be sorted side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "graph/index.hpp"

namespace graphkit {

// The distinct edges of a piece, in the order of the index. The first run may go on from the piece before.
struct SortedEdges {
    std::vector<Entity> run_heads;             // [runs]
    std::vector<std::uint32_t> run_relations;  // [runs] directed
    std::vector<std::uint32_t> run_starts;     // [runs] first edge of each, counted from the piece's own first
    std::vector<Entity> targets;               // [edges]
    std::uint64_t dropped = 0;                 // directed edges that stood there before
};

class EdgeSorter {
  public:
    virtual ~EdgeSorter() = default;
    // Takes triples whose ids are in range; from one thread at a time.
    virtual void add(Triples triples) = 0;
    // Ends the stream, once; returns the number of pieces.
    virtual std::size_t finish() = 0;
    // Sorts a piece, by number. Safe to call from several threads at once.
    virtual SortedEdges piece(std::size_t number) const = 0;
};

// `file` is an open, empty file to read and write at any place, which outlives the sorter and which nobody else uses.
// A piece holds at most `piece_edges` directed edges. Whatever fails in reading or writing is a std::system_error.
std::unique_ptr<EdgeSorter> make_edge_sorter(int file, std::uint64_t num_entities, std::uint64_t num_relations,
                                             std::uint64_t piece_edges);

}  // namespace graphkit
