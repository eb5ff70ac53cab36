// The neighbours of each node of an undirected graph, as a compressed sparse matrix lists them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace graphkit {

template <class Id>  // std::int32_t or std::int64_t, of somebody else's arrays
struct AdjacencyView {
    std::span<const Id> starts;  // [nodes + 1]
    std::span<const Id> targets;

    std::uint64_t num_nodes() const { return starts.size() - 1; }
    std::span<const Id> neighbors(std::uint64_t node) const {
        return targets.subspan(static_cast<std::size_t>(starts[node]),
                               static_cast<std::size_t>(starts[node + 1] - starts[node]));
    }
};

// What keeps arrays from being the adjacency of an undirected graph without loops.
struct AdjacencyFault {
    enum Kind : int {
        kStarts,      // the starts do not ascend from 0 to the number of targets
        kOutOfRange,  // a target is no node
        kOrder,       // the neighbours of a node do not ascend
        kLoop,
        kOneSided,  // `target` does not list `node`
    };
    Kind kind;
    std::uint64_t node;
    std::int64_t target;
};

// The first fault of the first node that has one of the first kind that occurs; nothing is read out of bounds.
template <class Id>
std::optional<AdjacencyFault> find_fault(const AdjacencyView<Id>& graph);

}  // namespace graphkit
