#include "samplers/clusters.hpp"

#include <algorithm>
#include <numeric>

#include "samplers/permutation.hpp"

namespace graphkit {
namespace {

// Places between looks at whether to stop.
constexpr std::size_t kPatience = 1024;

// Keeps as many of `members` as `kept` has room for, in their order, each set of that size with the same probability: a
// member is kept with the probability that what is still to be kept has among what is left (Fan, Muller and Rezucha,
// 1962). It is written in any case, and stays if it is kept: no branch that a processor would have to guess.
void draw_members(std::span<const std::int64_t> members, SplitMix numbers, std::span<std::int64_t> kept) {
    std::size_t place = 0;
    for (std::size_t i = 0; place < kept.size(); ++i) {
        kept[place] = members[i];
        place += numbers.below(members.size() - i) < kept.size() - place;
    }
}

}  // namespace

ClusterSampling::ClusterSampling(const ClusterMembers& partition, const ClusterOptions& options)
    : partition_(partition), options_(options) {
    // A cluster that would be left over alone joins the batch before it.
    if (options.batch_size > 0)
        batches_ = std::max<std::uint64_t>(1, (partition.size() - 1 + options.batch_size - 1) / options.batch_size);
}

void ClusterSampling::choose(std::uint64_t number, std::vector<std::int64_t>& clusters) const {
    if (options_.batch_size == 0) {
        clusters.resize(partition_.size());
        std::iota(clusters.begin(), clusters.end(), 0);
        return;
    }
    const EpochPermutation order(partition_.size(), options_.seed, number / batches_);
    const std::uint64_t batch = number % batches_, first = batch * options_.batch_size;
    clusters.resize(batch + 1 == batches_ ? partition_.size() - first : options_.batch_size);
    for (std::size_t place = 0; place < clusters.size(); ++place)
        clusters[place] = static_cast<std::int64_t>(order(first + place));
}

void ClusterSampling::fill(std::uint64_t number, const std::stop_token& stop, ClusterBatch& out) const {
    out.number = number;
    choose(number, out.clusters);
    const std::size_t size = out.clusters.size(), width = options_.negatives;
    if (keeps_members()) {
        out.kept_starts.resize(size + 1);
        for (std::size_t place = 0; place < size; ++place)
            out.kept_starts[place + 1] =
                out.kept_starts[place] + partition_.kept_sizes[static_cast<std::size_t>(out.clusters[place])];
        out.kept.resize(static_cast<std::size_t>(out.kept_starts.back()));
    }
    out.negatives.resize(size * width);
    for (std::size_t place = 0; place < size; ++place) {
        if (place % kPatience == 0 && stop.stop_requested()) return;
        const auto lane = static_cast<std::uint32_t>(place);
        LaneRandom random(options_.seed, number, lane);
        const std::uint64_t of_members = random.next();
        if (keeps_members()) {
            const auto first = static_cast<std::size_t>(out.kept_starts[place]);
            const auto kept = static_cast<std::size_t>(out.kept_starts[place + 1]) - first;
            draw_members(partition_.of(static_cast<std::uint64_t>(out.clusters[place])), SplitMix(of_members),
                         std::span(out.kept).subspan(first, kept));
        }
        if (width == 0) continue;
        if (options_.negatives_once) {
            random = LaneRandom(options_.seed, 0, lane);
            random.next();
        }
        SplitMix(random.next()).fill_below(size, std::span(out.negatives).subspan(place * width, width));
    }
}

}  // namespace graphkit
