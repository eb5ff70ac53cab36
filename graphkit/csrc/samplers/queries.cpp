#include "samplers/queries.hpp"

#include <algorithm>
#include <cmath>

#include "samplers/permutation.hpp"

namespace graphkit {
namespace {

// Lanes that take a step together: enough to overlap their waits for memory, few enough to stay in the cache.
constexpr std::uint64_t kBlockLanes = 256;

}  // namespace

QuerySampling::QuerySampling(std::vector<Program> programs, const QueryOptions& options)
    : programs_(std::move(programs)), walks_(programs_.begin(), programs_.end()), options_(options) {
    for (const Walk& walk : walks_) one_hops_ += walk.one_hop();
}

// Number of queries of a segment in the batches before `batch`.
std::uint64_t QuerySampling::queries_before(std::uint64_t batch, std::uint64_t segment) const {
    const std::uint64_t queries = batch * options_.batch_size, segments = programs_.size();
    return queries <= segment ? 0 : (queries - segment - 1) / segments + 1;
}

template <class Rel, class Offset>
void QuerySampling::fill(const IndexView<Rel, Offset>& graph, std::uint64_t number, SamplingSpace& space,
                         QueryBatch& out) const {
    const std::uint64_t size = options_.batch_size;
    const std::uint64_t width = options_.mode == Negatives::kNone ? 0 : options_.negatives;
    out.number = number;
    out.failed = QueryBatch::kAllDrawn;
    out.sizes.clear();
    out.outcomes.assign(programs_.size() * kOutcomes, 0);
    out.positives.resize(size);
    out.counts.resize(size);
    out.log_probs.resize(size);
    out.candidates.resize(options_.mode == Negatives::kOwn ? size * width : width);
    out.mask.resize(size * width);
    if (options_.mode == Negatives::kShared)
        space.shared =
            draw_shared(graph.num_entities(), {options_.seed, number, LaneRandom::kBatchLane}, out.candidates);

    std::uint64_t ids = 0;
    for (std::uint64_t i = 0; i < programs_.size(); ++i) {
        const std::uint64_t before = queries_before(number, i);
        out.sizes.push_back(static_cast<std::int64_t>(queries_before(number + 1, i) - before));
        ids += static_cast<std::uint64_t>(out.sizes[i]) * programs_[i].width();
    }
    out.rows.resize(ids);

    Segment segment{.rows = out.rows.data()};
    std::uint64_t one_hops_before = 0;
    for (segment.index = 0; segment.index < programs_.size(); ++segment.index) {
        const Walk& walk = walks_[segment.index];
        segment.size = static_cast<std::uint64_t>(out.sizes[segment.index]);
        segment.position = queries_before(number, segment.index);
        if (walk.one_hop()) {
            // Segments of the same structure take turns in its epochs.
            segment.position = segment.position * one_hops_ + one_hops_before++;
            fill_edges(graph, segment, space, out);
        } else if (!fill_walks(graph, segment, space, out)) {
            out.failed = static_cast<std::int64_t>(segment.index);
            return;
        }
        segment.lane += segment.size;
        segment.rows += segment.size * walk.width();
    }
}

template <class Rel, class Offset>
void QuerySampling::fill_edges(const IndexView<Rel, Offset>& graph, const Segment& segment, SamplingSpace& space,
                               QueryBatch& out) const {
    const std::uint64_t edges = graph.num_edges();
    std::uint64_t position = segment.position, epoch = position / edges;
    EpochPermutation order(edges, options_.seed, epoch);
    for (std::uint64_t i = 0; i < segment.size; ++i, position += one_hops_) {
        if (position / edges != epoch) {
            epoch = position / edges;
            order = EpochPermutation(edges, options_.seed, epoch);
        }
        const std::uint64_t lane = segment.lane + i;
        const auto edge = graph.edge(order(position % edges));
        const auto answers = graph.neighbors(edge.head, edge.relation);
        segment.rows[2 * i] = static_cast<std::int64_t>(edge.head);
        segment.rows[2 * i + 1] = static_cast<std::int64_t>(edge.relation);
        out.positives[lane] = static_cast<std::int64_t>(edge.tail);
        out.counts[lane] = static_cast<std::int64_t>(answers.size());
        out.log_probs[lane] = -std::log(static_cast<double>(edges));
        LaneRandom random(options_.seed, out.number, static_cast<std::uint32_t>(lane));
        draw_negatives(answers, graph.num_entities(), lane, random, space, out);
    }
    out.outcomes[segment.index * kOutcomes] = static_cast<std::int64_t>(segment.size);
}

// Returns false when a query could not be drawn within the attempts that are allowed.
template <class Rel, class Offset>
bool QuerySampling::fill_walks(const IndexView<Rel, Offset>& graph, const Segment& segment, SamplingSpace& space,
                               QueryBatch& out) const {
    const Walk& walk = walks_[segment.index];
    const BlockDrawer<Rel, Offset> drawer(graph, walk, options_.answers, options_.backtracking);
    std::int64_t* const outcomes = out.outcomes.data() + segment.index * kOutcomes;
    Block& block = space.block;
    for (std::uint64_t first = 0; first < segment.size; first += kBlockLanes) {
        const std::uint64_t lanes = std::min(kBlockLanes, segment.size - first);
        const std::uint64_t first_lane = segment.lane + first;
        std::int64_t* const rows = segment.rows + first * walk.width();
        block.begin(options_.seed, out.number, static_cast<std::uint32_t>(first_lane), lanes, walk.slots());
        space.pending.clear();
        for (std::uint32_t i = 0; i < lanes; ++i) space.pending.push_back(i);
        for (std::uint64_t attempt = 0; !space.pending.empty(); ++attempt) {
            if (attempt == options_.attempts) return false;
            drawer.attempt(space.pending, block, rows);
            space.rejected.clear();
            for (const std::uint32_t i : space.pending) {
                Outcome& outcome = block.outcomes[i];
                if (outcome == Outcome::kDrawn) {
                    const EntitySet& set =
                        answers_of(graph, programs_[segment.index], rows + i * walk.width(), space.execution);
                    const auto answers = set.entities();
                    const Entity positive = block.at(0, i);
                    const std::uint64_t lane = first_lane + i;
                    if (answers.size() == graph.num_entities()) {
                        outcome = Outcome::kEverything;
                    } else if (!std::binary_search(answers.begin(), answers.end(), positive)) {
                        outcome = Outcome::kRefuted;
                    } else {
                        out.positives[lane] = static_cast<std::int64_t>(positive);
                        out.counts[lane] = static_cast<std::int64_t>(answers.size());
                        out.log_probs[lane] = block.log_probs[i];
                        draw_negatives(answers, graph.num_entities(), lane, block.random[i], space, out);
                    }
                }
                ++outcomes[static_cast<std::size_t>(outcome)];
                if (outcome != Outcome::kDrawn) space.rejected.push_back(i);
            }
            std::swap(space.pending, space.rejected);
        }
    }
    return true;
}

void QuerySampling::draw_negatives(std::span<const Entity> answers, std::uint64_t num_entities, std::uint64_t lane,
                                   LaneRandom& random, const SamplingSpace& space, QueryBatch& out) const {
    if (options_.mode == Negatives::kNone) return;
    const std::uint64_t width = options_.negatives;
    const std::span<std::uint8_t> mask(out.mask.data() + lane * width, width);
    if (options_.mode == Negatives::kOwn)
        draw_own(answers, num_entities, random, {out.candidates.data() + lane * width, width}, mask);
    else
        mask_shared(answers, space.shared, mask);
}

template void QuerySampling::fill(const IndexView<std::uint16_t, std::uint32_t>&, std::uint64_t, SamplingSpace&,
                                  QueryBatch&) const;
template void QuerySampling::fill(const IndexView<std::uint32_t, std::uint32_t>&, std::uint64_t, SamplingSpace&,
                                  QueryBatch&) const;
template void QuerySampling::fill(const IndexView<std::uint16_t, std::uint64_t>&, std::uint64_t, SamplingSpace&,
                                  QueryBatch&) const;
template void QuerySampling::fill(const IndexView<std::uint32_t, std::uint64_t>&, std::uint64_t, SamplingSpace&,
                                  QueryBatch&) const;

}  // namespace graphkit
