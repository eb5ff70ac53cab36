#include "node_module.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <optional>
#include <stdexcept>
#include <tuple>

#include "bindings.hpp"
#include "engine_arrays.hpp"
#include "nodes/adjacency.hpp"
#include "nodes/heavy_edge.hpp"
#include "samplers/clusters.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

using Ids = In<std::int64_t, -1>;

std::span<const std::int64_t> span_of(const Ids& ids) { return {ids.data(), ids.size()}; }

template <class Id>
AdjacencyView<Id> adjacency(const In<Id, -1>& starts, const In<Id, -1>& targets) {
    if (starts.size() == 0) throw std::invalid_argument("starts is empty");
    return {{starts.data(), starts.size()}, {targets.data(), targets.size()}};
}

using Fault = std::optional<std::tuple<int, std::uint64_t, std::int64_t>>;

template <class Id>
Fault adjacency_fault(const In<Id, -1>& starts, const In<Id, -1>& targets) {
    const AdjacencyView<Id> graph = adjacency<Id>(starts, targets);
    const nb::gil_scoped_release release;
    if (const auto fault = find_fault(graph)) return std::make_tuple(int(fault->kind), fault->node, fault->target);
    return std::nullopt;
}

template <class Id>
nb::object clusters_of(const In<Id, -1>& starts, const In<Id, -1>& targets, std::uint64_t clusters, unsigned threads) {
    const AdjacencyView<Id> graph = adjacency<Id>(starts, targets);
    if (clusters == 0 || clusters > graph.num_nodes() || graph.num_nodes() >= 0xFFFFFFFFU || threads == 0)
        throw std::invalid_argument("clusters, threads or the number of nodes is out of range");
    std::vector<std::int64_t> found;
    {
        const nb::gil_scoped_release release;
        if (find_fault(graph)) throw std::invalid_argument("the adjacency has a fault");
        found = heavy_edge_clusters(graph, clusters, threads);
    }
    return own(std::move(found));
}

template <class Id>
void bind_adjacency(nb::module_& m) {
    m.def("adjacency_fault", &adjacency_fault<Id>, array("starts"), array("targets"));
    m.def("heavy_edge_clusters", &clusters_of<Id>, array("starts"), array("targets"), nb::arg("clusters"),
          nb::arg("threads"));
}

// Throws where a batch would read out of bounds.
ClusterMembers checked(const Ids& starts, const Ids& members, const std::optional<Ids>& kept_sizes) {
    const ClusterMembers found{span_of(starts), span_of(members), kept_sizes ? span_of(*kept_sizes) : span_of(Ids())};
    if (starts.size() < 2 || found.size() >= LaneRandom::kNoLane || found.starts.front() != 0 ||
        found.starts.back() != static_cast<std::int64_t>(found.members.size()) ||
        (kept_sizes && found.kept_sizes.size() != found.size()))
        throw std::invalid_argument("starts, members and kept_sizes do not agree");
    for (std::uint64_t cluster = 0; cluster < found.size(); ++cluster) {
        const std::int64_t size = found.starts[cluster + 1] - found.starts[cluster];
        if (size < 1 || (kept_sizes && (found.kept_sizes[cluster] < 1 || found.kept_sizes[cluster] > size)))
            throw std::invalid_argument("a cluster is empty, or keeps another number of members than it has");
    }
    return found;
}

// Batches of clusters, made ahead by native threads.
class ClusterStream {
  public:
    ClusterStream(Ids starts, Ids members, std::optional<Ids> kept_sizes, std::uint64_t batch_size,
                  std::uint64_t negatives, bool negatives_once, std::uint64_t seed, unsigned threads, unsigned ahead,
                  std::uint64_t first)
        : arrays_{starts, members, kept_sizes ? *kept_sizes : Ids()},
          sampling_(checked(starts, members, kept_sizes), {batch_size, negatives, negatives_once, seed}),
          stream_([this](std::uint64_t number, ClusterBatch& out,
                         const std::stop_token& stop) { sampling_.fill(number, stop, out); },
                  required(threads), required(ahead), first) {}

    // (number, clusters [B], kept_starts [B + 1] or None, kept or None, negatives [B, K] or None)
    nb::tuple next() {
        const auto batch = next_batch(stream_);
        const std::size_t size = batch->clusters.size(), width = sampling_.options().negatives;
        nb::object kept_starts = nb::none(), kept = nb::none(), negatives = nb::none();
        if (sampling_.keeps_members()) {
            kept_starts = borrow(batch->kept_starts.data(), {size + 1}, batch);
            kept = borrow(batch->kept.data(), {batch->kept.size()}, batch);
        }
        if (width > 0) negatives = borrow(batch->negatives.data(), {size, width}, batch);
        return nb::make_tuple(batch->number, borrow(batch->clusters.data(), {size}, batch), kept_starts, kept,
                              negatives);
    }

  private:
    static unsigned required(unsigned positive) {
        if (positive == 0) throw std::invalid_argument("threads and ahead must be positive");
        return positive;
    }

    Ids arrays_[3];  // kept alive for the threads of the stream, which end first
    ClusterSampling sampling_;
    OrderedStream<ClusterBatch> stream_;
};

}  // namespace

void bind_nodes(nb::module_& m) {
    bind_adjacency<std::int32_t>(m);
    bind_adjacency<std::int64_t>(m);
    nb::class_<ClusterStream>(m, "ClusterStream")
        .def(nb::init<Ids, Ids, std::optional<Ids>, std::uint64_t, std::uint64_t, bool, std::uint64_t, unsigned,
                      unsigned, std::uint64_t>(),
             array("starts"), array("members"), array("kept_sizes").none(), nb::arg("batch_size"), nb::arg("negatives"),
             nb::arg("negatives_once"), nb::arg("seed"), nb::arg("threads"), nb::arg("ahead"), nb::arg("first"))
        .def("next", &ClusterStream::next);
}

}  // namespace graphkit
