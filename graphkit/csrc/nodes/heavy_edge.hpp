// Clusters of an undirected graph by heavy edges: nodes are merged along the heaviest edges between them, level by
// level, until as many clusters are left as were asked for; then nodes on borders move to where more of their
// neighbours are. No coarse graph is built: what a cluster has to do with others is counted along its members' lists.
//
// A level. Every cluster proposes to merge with the neighbour to which it has the most edges for that one's size, among
// those with which it stays within a cap; proposals are taken up densest first where both are still free. Where that
// merges few (a star has many leaves, and merges with one of them), those that would go to the same neighbour are
// merged with each other. Small ones without a neighbour within the cap are merged as they come, smallest first. The
// cap is one and a half times the mean size of the result, or twice, with which the smallest two can always be merged,
// where that is needed.
//
// Refinement leaves no cluster with less than half of the mean size, unless it had less before.
//
// Nothing depends on the number of threads, which divide proposals alone.
#pragma once

#include <cstdint>
#include <vector>

#include "nodes/adjacency.hpp"

namespace graphkit {

// The cluster of each node, numbered by their first nodes. `clusters` is from 1 to the number of nodes, which is below
// 2^32 - 1; the graph has no fault.
template <class Id>
std::vector<std::int64_t> heavy_edge_clusters(const AdjacencyView<Id>& graph, std::uint64_t clusters, unsigned threads);

}  // namespace graphkit
