#include "nodes/heavy_edge.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "machine/threads.hpp"
#include "samplers/philox.hpp"

namespace graphkit {
namespace {

using Cluster = std::uint32_t;
constexpr Cluster kNone = 0xFFFFFFFFU;
// A level that merges fewer than this part of its clusters looks for more to merge.
constexpr std::uint64_t kFewest = 16;
constexpr int kRefinements = 8;
// Refinement ends when a round moves fewer than this part of the nodes.
constexpr std::uint64_t kFewMoves = 200;

// Edges to the clusters that some nodes have neighbours in.
class EdgeCounts {
  public:
    explicit EdgeCounts(std::size_t clusters) : counts_(clusters, 0) {}

    void add(Cluster cluster) {
        if (counts_[cluster]++ == 0) touched_.push_back(cluster);
    }
    std::uint64_t of(Cluster cluster) const { return counts_[cluster]; }
    const std::vector<Cluster>& touched() const { return touched_; }  // in the order in which they were met
    void clear() {
        for (const Cluster cluster : touched_) counts_[cluster] = 0;
        touched_.clear();
    }

  private:
    std::vector<std::uint64_t> counts_;
    std::vector<Cluster> touched_;
};

// Which of equally good pairs comes first is as good as drawn, lest all pairs of a chain wait for the first.
std::uint64_t priority(Cluster one, Cluster other) {
    const auto [low, high] = std::minmax(one, other);
    return SplitMix(static_cast<std::uint64_t>(low) << 32 | high).below(1ULL << 32);
}

template <class Id>
class Clustering {
  public:
    Clustering(const AdjacencyView<Id>& graph, std::uint64_t clusters, unsigned threads)
        : graph_(graph), wanted_(clusters), threads_(threads), cluster_(graph.num_nodes()), members_(cluster_.size()) {
        std::iota(cluster_.begin(), cluster_.end(), 0);
        const std::uint64_t nodes = graph.num_nodes();
        mean_ = (nodes + wanted_ - 1) / wanted_;
        cap_ = std::max<std::uint64_t>(2, (3 * nodes + 2 * wanted_ - 1) / (2 * wanted_));
        group(nodes);
    }

    std::vector<std::int64_t> run() {
        while (count() > wanted_) {
            propose();
            merge(pairs());
        }
        refine();
        return numbered();
    }

  private:
    struct Proposal {
        Cluster to = kNone;  // the heaviest neighbour, of those within the cap if there are any
        bool within = false;
        std::uint64_t edges = 0;
    };
    struct Pair {
        Cluster low, high;
    };

    std::uint64_t count() const { return starts_.size() - 1; }
    std::uint64_t size(Cluster cluster) const { return starts_[cluster + 1] - starts_[cluster]; }
    std::uint64_t size(const Pair& pair) const { return size(pair.low) + size(pair.high); }

    // Lists the members of each of so many clusters.
    void group(std::uint64_t clusters) {
        starts_.assign(clusters + 1, 0);
        for (const Cluster cluster : cluster_) ++starts_[cluster + 1];
        std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
        std::vector<std::uint32_t> next(starts_.begin(), starts_.end() - 1);
        for (std::uint32_t node = 0; node < cluster_.size(); ++node) members_[next[cluster_[node]]++] = node;
    }

    // Whether `cluster` has more edges to one for its size than to the other.
    bool heavier(Cluster cluster, const Proposal& one, const Proposal& other) const {
        if (other.to == kNone) return true;
        const std::uint64_t left = one.edges * size(other.to), right = other.edges * size(one.to);
        if (left != right) return left > right;
        const std::uint64_t first = priority(cluster, one.to), second = priority(cluster, other.to);
        return first != second ? first > second : one.to < other.to;
    }

    void propose() {
        proposals_.assign(count(), {});
        // Each thread takes clusters of about as many nodes, and has counts of its own.
        const std::size_t tasks = std::min<std::size_t>(threads_, count());
        run_tasks(tasks, threads_, [&](std::size_t task) {
            const auto bound = [&](std::size_t part) {
                const std::uint64_t node = members_.size() * part / tasks;
                return std::lower_bound(starts_.begin(), starts_.end() - 1, node) - starts_.begin();
            };
            EdgeCounts counts(count());
            for (auto cluster = bound(task); cluster < bound(task + 1); ++cluster)
                proposals_[cluster] = proposal(static_cast<Cluster>(cluster), counts);
        });
    }

    Proposal proposal(Cluster cluster, EdgeCounts& counts) const {
        for (std::uint32_t place = starts_[cluster]; place < starts_[cluster + 1]; ++place)
            for (const Id neighbor : graph_.neighbors(members_[place]))
                if (const Cluster other = cluster_[neighbor]; other != cluster) counts.add(other);
        Proposal best;
        for (const Cluster other : counts.touched()) {
            const Proposal found{other, size(cluster) + size(other) <= cap_, counts.of(other)};
            if (found.within != best.within ? found.within : heavier(cluster, found, best)) best = found;
        }
        counts.clear();
        return best;
    }

    // Those to merge, none twice, and at least one unless the cap is raised instead.
    std::vector<Pair> pairs() {
        const std::uint64_t excess = count() - wanted_, few = std::min(excess, (count() + kFewest - 1) / kFewest);
        std::vector<Pair> found;
        free_.assign(count(), true);
        add_proposed(excess, found);
        if (found.size() < few) add_siblings(excess, found);
        add_smallest(excess, found, [&](Cluster cluster) {
            return !proposals_[cluster].within && 2 * size(cluster) * count() <= cluster_.size();
        });
        if (found.size() < few) {
            add_smallest(few, found, [](Cluster) { return true; });
            if (found.size() < few) cap_ = std::max(cap_, 2 * mean_);
        }
        return found;
    }

    // Proposals where both are free, the densest first.
    void add_proposed(std::uint64_t most, std::vector<Pair>& found) {
        std::vector<Cluster> order;
        for (Cluster cluster = 0; cluster < count(); ++cluster) {
            const Proposal& own = proposals_[cluster];
            // Of two that propose to each other the first speaks.
            if (own.within && (proposals_[own.to].to != cluster || cluster < own.to)) order.push_back(cluster);
        }
        std::sort(order.begin(), order.end(), [&](Cluster one, Cluster other) { return denser(one, other); });
        for (std::size_t i = 0; i < order.size() && found.size() < most; ++i)
            if (const Cluster to = proposals_[order[i]].to; free_[order[i]] && free_[to])
                add({std::min(order[i], to), std::max(order[i], to)}, found);
    }

    bool denser(Cluster one, Cluster other) const {
        using Wide = unsigned __int128;
        const Proposal &of_one = proposals_[one], &of_other = proposals_[other];
        const Wide left = Wide(of_one.edges) * size(other) * size(of_other.to);
        const Wide right = Wide(of_other.edges) * size(one) * size(of_one.to);
        if (left != right) return left > right;
        const std::uint64_t first = priority(one, of_one.to), second = priority(other, of_other.to);
        return first != second ? first > second : one < other;
    }

    // Pairs of those whose heaviest neighbour is the same.
    void add_siblings(std::uint64_t most, std::vector<Pair>& found) {
        std::vector<std::pair<Cluster, Cluster>> siblings;
        for (Cluster cluster = 0; cluster < count(); ++cluster)
            if (free_[cluster] && proposals_[cluster].to != kNone)
                siblings.emplace_back(proposals_[cluster].to, cluster);
        std::sort(siblings.begin(), siblings.end());
        for (std::size_t i = 1; i < siblings.size() && found.size() < most; ++i)
            if (const Pair pair{siblings[i - 1].second, siblings[i].second};
                siblings[i - 1].first == siblings[i].first && free_[pair.low] && size(pair) <= cap_)
                add(pair, found);
    }

    // Pairs of those that may be, smallest first.
    template <class May>
    void add_smallest(std::uint64_t most, std::vector<Pair>& found, const May& may) {
        std::vector<std::pair<std::uint64_t, Cluster>> small;
        for (Cluster cluster = 0; cluster < count(); ++cluster)
            if (free_[cluster] && may(cluster)) small.emplace_back(size(cluster), cluster);
        std::sort(small.begin(), small.end());
        for (std::size_t i = 1; i < small.size() && found.size() < most; i += 2) {
            const auto [low, high] = std::minmax(small[i - 1].second, small[i].second);
            if (size(Pair{low, high}) > cap_) return;
            add({low, high}, found);
        }
    }

    void add(const Pair& pair, std::vector<Pair>& found) {
        free_[pair.low] = free_[pair.high] = false;
        found.push_back(pair);
    }

    void merge(const std::vector<Pair>& merged) {
        std::vector<Cluster> number(count(), 0);
        for (const Pair& pair : merged) number[pair.high] = kNone;
        Cluster next = 0;
        for (Cluster& cluster : number)
            if (cluster != kNone) cluster = next++;
        for (const Pair& pair : merged) number[pair.high] = number[pair.low];
        for (Cluster& cluster : cluster_) cluster = number[cluster];
        group(next);
    }

    // Moves nodes, one by one, to the cluster that most of their neighbours are in.
    void refine() {
        std::vector<std::uint64_t> sizes(count());
        for (Cluster cluster = 0; cluster < count(); ++cluster) sizes[cluster] = size(cluster);
        EdgeCounts counts(count());
        for (int round = 0; round < kRefinements; ++round) {
            std::uint64_t moved = 0;
            for (std::size_t node = 0; node < cluster_.size(); ++node) moved += move(node, counts, sizes);
            if (moved * kFewMoves < cluster_.size()) return;
        }
    }

    bool move(std::size_t node, EdgeCounts& counts, std::vector<std::uint64_t>& sizes) {
        const Cluster own = cluster_[node];
        if (2 * (sizes[own] - 1) < mean_) return false;  // no cluster is left empty, or small
        for (const Id neighbor : graph_.neighbors(node)) counts.add(cluster_[neighbor]);
        Cluster best = own;
        for (const Cluster other : counts.touched()) {
            if (other == own || sizes[other] >= cap_) continue;
            // Where both have as many neighbours the smaller is better, counted with the node in it.
            const std::uint64_t size_there = sizes[best] + (best != own);
            if (const auto edges = counts.of(other), most = counts.of(best);
                edges > most || (edges == most && (sizes[other] + 1 < size_there ||
                                                   (sizes[other] + 1 == size_there && best != own && other < best))))
                best = other;
        }
        counts.clear();
        if (best == own) return false;
        cluster_[node] = best;
        --sizes[own];
        ++sizes[best];
        return true;
    }

    std::vector<std::int64_t> numbered() const {
        std::vector<std::int64_t> number(count(), -1), found(cluster_.size());
        std::int64_t next = 0;
        for (std::size_t node = 0; node < found.size(); ++node) {
            std::int64_t& cluster = number[cluster_[node]];
            if (cluster < 0) cluster = next++;
            found[node] = cluster;
        }
        return found;
    }

    AdjacencyView<Id> graph_;
    std::uint64_t wanted_, mean_, cap_;
    unsigned threads_;
    std::vector<Cluster> cluster_;                 // of each node
    std::vector<std::uint32_t> starts_, members_;  // of each cluster
    std::vector<Proposal> proposals_;
    std::vector<bool> free_;  // of clusters: not merged at this level
};

}  // namespace

template <class Id>
std::vector<std::int64_t> heavy_edge_clusters(const AdjacencyView<Id>& graph, std::uint64_t clusters,
                                              unsigned threads) {
    return Clustering(graph, clusters, threads).run();
}

template std::vector<std::int64_t> heavy_edge_clusters(const AdjacencyView<std::int32_t>&, std::uint64_t, unsigned);
template std::vector<std::int64_t> heavy_edge_clusters(const AdjacencyView<std::int64_t>&, std::uint64_t, unsigned);

}  // namespace graphkit
