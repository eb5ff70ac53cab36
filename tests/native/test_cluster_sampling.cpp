// Batches of clusters, drawn by many threads: what is promised of each, and the same whoever draws them.
#include <algorithm>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "check.hpp"
#include "samplers/clusters.hpp"
#include "samplers/stream.hpp"

using namespace graphkit;

namespace {

// Clusters of one to seven members; node i stands at place i.
struct Drawn {
    explicit Drawn(std::size_t clusters) {
        for (std::size_t cluster = 0; cluster < clusters; ++cluster) {
            const std::int64_t size = 1 + static_cast<std::int64_t>(cluster * cluster % 7);
            starts.push_back(starts.back() + size);
            kept_sizes.push_back(std::max<std::int64_t>(1, size / 2));
        }
        members.resize(static_cast<std::size_t>(starts.back()));
        std::iota(members.begin(), members.end(), 0);
    }

    ClusterMembers view() const { return {starts, members, kept_sizes}; }

    std::vector<std::int64_t> starts{0}, members, kept_sizes;
};

ClusterBatch fill(const ClusterSampling& sampling, std::uint64_t number) {
    ClusterBatch batch;
    sampling.fill(number, {}, batch);
    return batch;
}

void are_equal(const ClusterBatch& one, const ClusterBatch& other) {
    CHECK_EQ(one.number, other.number);
    CHECK_EQ(one.clusters, other.clusters);
    CHECK_EQ(one.kept_starts, other.kept_starts);
    CHECK_EQ(one.kept, other.kept);
    CHECK_EQ(one.negatives, other.negatives);
}

}  // namespace

TEST(batches_keep_what_was_promised) {
    const Drawn drawn(53);
    for (const std::uint64_t batch_size : {0, 2, 4, 13, 53, 60}) {
        const ClusterSampling sampling(drawn.view(), {batch_size, 3, false, 9});
        std::multiset<std::int64_t> visited;
        std::uint64_t number = 0;
        for (; visited.size() < 2 * 53; ++number) {
            const ClusterBatch batch = fill(sampling, number);
            visited.insert(batch.clusters.begin(), batch.clusters.end());
            const std::size_t size = batch.clusters.size();
            CHECK(size >= 2);
            CHECK_EQ(batch.negatives.size(), 3 * size);
            for (const std::int64_t place : batch.negatives) CHECK(place >= 0 && std::cmp_less(place, size));
            CHECK_EQ(batch.kept_starts.size(), size + 1);
            for (std::size_t place = 0; place < size; ++place) {
                const auto cluster = static_cast<std::size_t>(batch.clusters[place]);
                const std::int64_t first = batch.kept_starts[place], last = batch.kept_starts[place + 1];
                CHECK_EQ(last - first, drawn.kept_sizes[cluster]);
                for (std::int64_t i = first; i < last; ++i) {
                    const std::int64_t node = batch.kept[static_cast<std::size_t>(i)];
                    CHECK(node >= drawn.starts[cluster] && node < drawn.starts[cluster + 1]);
                    CHECK(i == first || node > batch.kept[static_cast<std::size_t>(i - 1)]);
                }
            }
        }
        for (std::int64_t cluster = 0; cluster < 53; ++cluster) CHECK_EQ(visited.count(cluster), 2);
    }
}

TEST(streams_of_any_threads_deliver_the_same) {
    const Drawn drawn(3000);
    const ClusterSampling sampling(drawn.view(), {700, 5, false, 1});
    for (const unsigned threads : {1U, 2U, 4U}) {
        OrderedStream<ClusterBatch> stream([&](std::uint64_t number, ClusterBatch& out,
                                               const std::stop_token& stop) { sampling.fill(number, stop, out); },
                                           threads, 4, 3);
        for (std::uint64_t number = 3; number < 20; ++number) are_equal(*stream.next(), fill(sampling, number));
    }
}

TEST(a_used_buffer_gives_the_same_batch) {
    const Drawn drawn(40);
    const ClusterSampling large(drawn.view(), {0, 6, true, 1}), small(drawn.view(), {3, 2, false, 1});
    ClusterBatch used;
    large.fill(0, {}, used);
    small.fill(5, {}, used);
    are_equal(used, fill(small, 5));
}

TEST(without_a_second_view_nothing_is_kept) {
    const Drawn drawn(10);
    const ClusterSampling sampling({drawn.starts, drawn.members, {}}, {0, 0, false, 1});
    const ClusterBatch batch = fill(sampling, 4);
    CHECK_EQ(batch.clusters.size(), 10);
    CHECK(batch.kept_starts.empty() && batch.kept.empty() && batch.negatives.empty());
}

CHECK_MAIN()
