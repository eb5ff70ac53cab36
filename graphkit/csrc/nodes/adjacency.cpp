#include "nodes/adjacency.hpp"

#include <vector>

namespace graphkit {
namespace {

template <class Id>
std::optional<AdjacencyFault> find_bad_row(const AdjacencyView<Id>& graph) {
    const std::uint64_t nodes = graph.num_nodes();
    for (std::uint64_t node = 0; node < nodes; ++node)
        if (graph.starts[node] > graph.starts[node + 1]) return AdjacencyFault{AdjacencyFault::kStarts, node, 0};
    if (graph.starts[0] != 0 || static_cast<std::uint64_t>(graph.starts[nodes]) != graph.targets.size())
        return AdjacencyFault{AdjacencyFault::kStarts, nodes, 0};
    for (std::uint64_t node = 0; node < nodes; ++node) {
        Id before = -1;
        for (const Id target : graph.neighbors(node)) {
            const auto fault = [&](AdjacencyFault::Kind kind) { return AdjacencyFault{kind, node, target}; };
            if (target < 0 || static_cast<std::uint64_t>(target) >= nodes) return fault(AdjacencyFault::kOutOfRange);
            if (target <= before) return fault(AdjacencyFault::kOrder);
            if (static_cast<std::uint64_t>(target) == node) return fault(AdjacencyFault::kLoop);
            before = target;
        }
    }
    return std::nullopt;
}

}  // namespace

template <class Id>
std::optional<AdjacencyFault> find_fault(const AdjacencyView<Id>& graph) {
    if (const auto fault = find_bad_row(graph)) return fault;
    // Nodes are met in ascending order, and each list ascends: what lists `node` must name it next.
    std::vector<Id> next(graph.starts.begin(), graph.starts.end() - 1);
    for (std::uint64_t node = 0; node < graph.num_nodes(); ++node)
        for (const Id target : graph.neighbors(node)) {
            Id& place = next[static_cast<std::size_t>(target)];
            if (place == graph.starts[static_cast<std::size_t>(target) + 1] ||
                static_cast<std::uint64_t>(graph.targets[static_cast<std::size_t>(place)]) != node) {
                // Of the two one-sided edges that may stand here, the one that the other list has in excess.
                const bool other = place != graph.starts[static_cast<std::size_t>(target) + 1] &&
                                   static_cast<std::uint64_t>(graph.targets[static_cast<std::size_t>(place)]) < node;
                if (other)
                    return AdjacencyFault{AdjacencyFault::kOneSided, static_cast<std::uint64_t>(target),
                                          graph.targets[static_cast<std::size_t>(place)]};
                return AdjacencyFault{AdjacencyFault::kOneSided, node, target};
            }
            ++place;
        }
    return std::nullopt;
}

template std::optional<AdjacencyFault> find_fault(const AdjacencyView<std::int32_t>&);
template std::optional<AdjacencyFault> find_fault(const AdjacencyView<std::int64_t>&);

}  // namespace graphkit
