// Batches of clusters of a partition: which clusters, the members that each keeps for a second view (DropMember), and
// negatives. A batch is a function of its number alone, and what is drawn for a cluster one of its place in the batch.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "samplers/philox.hpp"

namespace graphkit {

struct ClusterOptions {
    std::uint64_t batch_size = 0;  // 0 = all clusters, in their order
    std::uint64_t negatives = 0;   // of each cluster, drawn from the places of its batch
    bool negatives_once = false;   // the same in every batch
    std::uint64_t seed = 0;
};

// B clusters of a batch, K = negatives.
struct ClusterBatch {
    std::uint64_t number = 0;
    std::vector<std::int64_t> clusters;     // [B]
    std::vector<std::int64_t> kept_starts;  // [B + 1]
    std::vector<std::int64_t> kept;         // members that are kept, ascending in each cluster
    std::vector<std::int64_t> negatives;    // [B, K] places
};

// The clusters of a partition: [P + 1] where the members of each begin, [N] members, and [P] how many of them a second
// view keeps (none without one).
struct ClusterMembers {
    std::span<const std::int64_t> starts, members, kept_sizes;

    std::uint64_t size() const { return starts.size() - 1; }
    std::span<const std::int64_t> of(std::uint64_t cluster) const {
        return members.subspan(static_cast<std::size_t>(starts[cluster]),
                               static_cast<std::size_t>(starts[cluster + 1] - starts[cluster]));
    }
};

class ClusterSampling {
  public:
    ClusterSampling(const ClusterMembers& partition, const ClusterOptions& options);

    const ClusterOptions& options() const { return options_; }
    bool keeps_members() const { return !partition_.kept_sizes.empty(); }

    void fill(std::uint64_t number, const std::stop_token& stop, ClusterBatch& out) const;

  private:
    void choose(std::uint64_t number, std::vector<std::int64_t>& clusters) const;

    ClusterMembers partition_;
    ClusterOptions options_;
    std::uint64_t batches_ = 1;  // of an epoch
};

}  // namespace graphkit
