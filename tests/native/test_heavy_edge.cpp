// Heavy-edge clusters: as many as were asked for, within the cap, the same for any threads and either width of indices;
// and faults of adjacencies are found without reading out of bounds.
#include <algorithm>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "check.hpp"
#include "nodes/adjacency.hpp"
#include "nodes/heavy_edge.hpp"

using namespace graphkit;

namespace {

template <class Id>
struct Graph {
    std::vector<Id> starts{0}, targets;

    AdjacencyView<Id> view() const { return {starts, targets}; }
};

using Edges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

template <class Id>
Graph<Id> undirected(std::uint64_t nodes, const Edges& edges) {
    std::vector<std::set<std::uint64_t>> neighbors(nodes);
    for (const auto& [one, other] : edges)
        if (one != other) {
            neighbors[one].insert(other);
            neighbors[other].insert(one);
        }
    Graph<Id> graph;
    for (const auto& some : neighbors) {
        for (const std::uint64_t target : some) graph.targets.push_back(static_cast<Id>(target));
        graph.starts.push_back(static_cast<Id>(graph.targets.size()));
    }
    return graph;
}

// With a few hubs and isolated nodes.
Edges draw_edges(std::uint64_t nodes, std::uint64_t edges, unsigned seed) {
    std::mt19937_64 random(seed);
    Edges drawn;
    for (std::uint64_t i = 0; i < edges; ++i) {
        const std::uint64_t one = random() % (i % 3 == 0 ? 3 : nodes * 3 / 4), other = random() % (nodes * 3 / 4);
        drawn.emplace_back(std::min(one, nodes - 1), std::min(other, nodes - 1));
    }
    return drawn;
}

template <class Id>
AdjacencyFault fault_of(std::vector<Id> starts, std::vector<Id> targets) {
    const auto found = find_fault<Id>({starts, targets});
    CHECK(found.has_value());
    return found.value_or(AdjacencyFault{});
}

}  // namespace

TEST(clusters_are_as_many_as_asked_for_and_the_same_for_any_threads) {
    for (unsigned seed = 0; seed < 12; ++seed) {
        const std::uint64_t nodes = 4 + 37 * seed;
        const Edges edges = draw_edges(nodes, 3 * nodes, seed);
        const auto narrow = undirected<std::int32_t>(nodes, edges);
        const auto wide = undirected<std::int64_t>(nodes, edges);
        CHECK(!find_fault(narrow.view()));
        for (const std::uint64_t clusters : {std::uint64_t{1}, 1 + nodes / 7, 1 + nodes / 2, nodes}) {
            const auto found = heavy_edge_clusters(narrow.view(), clusters, 1);
            std::vector<std::uint64_t> sizes(clusters, 0);
            for (const std::int64_t cluster : found) ++sizes.at(static_cast<std::size_t>(cluster));
            CHECK(*std::min_element(sizes.begin(), sizes.end()) > 0);
            const std::uint64_t cap = std::max<std::uint64_t>(2, 2 * ((nodes + clusters - 1) / clusters));
            CHECK(*std::max_element(sizes.begin(), sizes.end()) <= cap);
            for (const unsigned threads : {2U, 5U})
                CHECK_EQ(heavy_edge_clusters(wide.view(), clusters, threads), found);
        }
    }
}

TEST(a_star_and_a_graph_without_edges_come_to_an_end) {
    Edges star;
    for (std::uint64_t leaf = 1; leaf < 3000; ++leaf) star.emplace_back(0, leaf);
    for (const Edges& edges : {star, Edges{}})
        for (const std::uint64_t clusters : {1, 2, 100}) {
            const auto found = heavy_edge_clusters(undirected<std::int32_t>(3000, edges).view(), clusters, 2);
            CHECK_EQ(std::set<std::int64_t>(found.begin(), found.end()).size(), clusters);
        }
}

TEST(cliques_are_found) {
    Edges edges;
    for (std::uint64_t one = 0; one < 60; ++one)
        for (std::uint64_t other = one + 10; other < 60; other += 10) edges.emplace_back(one, other);
    const auto found = heavy_edge_clusters(undirected<std::int32_t>(60, edges).view(), 10, 1);
    for (std::size_t node = 0; node < 60; ++node) CHECK_EQ(found[node], node % 10);
}

TEST(faults_are_found) {
    using Kind = AdjacencyFault::Kind;
    CHECK_EQ(fault_of<std::int32_t>({0, 2, 1}, {1, 0}).kind, Kind::kStarts);
    CHECK_EQ(fault_of<std::int32_t>({0, 1, 3}, {1, 0}).kind, Kind::kStarts);
    CHECK_EQ(fault_of<std::int64_t>({1, 1, 2}, {1, 0}).kind, Kind::kStarts);
    CHECK_EQ(fault_of<std::int64_t>({0, 1, 2}, {1, 2}).kind, Kind::kOutOfRange);
    CHECK_EQ(fault_of<std::int64_t>({0, 1, 2}, {-1, 0}).kind, Kind::kOutOfRange);
    CHECK_EQ(fault_of<std::int32_t>({0, 2, 3, 4}, {2, 1, 0, 0}).kind, Kind::kOrder);
    CHECK_EQ(fault_of<std::int32_t>({0, 1, 2}, {1, 1}).kind, Kind::kLoop);
}

TEST(each_edge_of_one_direction_is_found) {
    for (unsigned seed = 0; seed < 6; ++seed) {
        const auto whole = undirected<std::int32_t>(15, draw_edges(15, 25, seed));
        for (std::size_t gone = 0; gone < whole.targets.size(); ++gone) {
            Graph<std::int32_t> graph;
            std::uint64_t owner = 0;
            for (std::uint64_t node = 0; node < 15; ++node) {
                for (auto i = static_cast<std::size_t>(whole.starts[node]);
                     i < static_cast<std::size_t>(whole.starts[node + 1]); ++i)
                    if (i != gone)
                        graph.targets.push_back(whole.targets[i]);
                    else
                        owner = node;
                graph.starts.push_back(static_cast<std::int32_t>(graph.targets.size()));
            }
            const auto fault = find_fault(graph.view());
            CHECK(fault && fault->kind == AdjacencyFault::kOneSided);
            if (!fault) continue;
            CHECK_EQ(fault->node, whole.targets[gone]);
            CHECK_EQ(fault->target, owner);
        }
    }
}

CHECK_MAIN()
