#include "samplers/queries.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "samplers/permutation.hpp"

namespace graphkit {
namespace {

// Lanes that take a step together, so that their waits for memory overlap; other sizes were not measured.
constexpr std::uint64_t kBlockLanes = 256;

}  // namespace

template <class Rel, class Offset>
QuerySampling::QuerySampling(const IndexView<Rel, Offset>& graph, const std::vector<Program>& programs,
                             const QueryOptions& options)
    : walks_(programs.begin(), programs.end()),
      plans_(programs.begin(), programs.end()),
      options_(options),
      tables_(graph, options.corruption) {
    for (const Walk& walk : walks_) one_hops_ += walk.one_hop();
    if (one_hops_ > 0) edges_.build(graph);
}

// Number of queries of a segment in the batches before `batch`.
std::uint64_t QuerySampling::queries_before(std::uint64_t batch, std::uint64_t segment) const {
    const std::uint64_t queries = batch * options_.batch_size, segments = plans_.size();
    return queries <= segment ? 0 : (queries - segment - 1) / segments + 1;
}

template <class Rel, class Offset>
void QuerySampling::fill(const IndexView<Rel, Offset>& graph, std::uint64_t number, const std::stop_token& stop,
                         SamplingSpace& space, QueryBatch& out) const {
    const std::uint64_t size = options_.batch_size;
    const std::uint64_t width = options_.mode == Negatives::kNone ? 0 : options_.negatives;
    out.number = number;
    out.failed = QueryBatch::kAllDrawn;
    out.sizes.clear();
    out.outcomes.assign(plans_.size() * kOutcomes, 0);
    out.positives.resize(size);
    out.counts.resize(size);
    out.counted.resize(size);
    out.log_probs.resize(size);
    out.candidates.resize((options_.mode == Negatives::kOwn ? size : options_.chunks) * width);
    out.mask.resize(size * width);
    out.log_weights.resize(options_.corruption == Corruption::kUniform ? 0 : out.candidates.size());

    std::uint64_t ids = 0;
    for (std::uint64_t i = 0; i < plans_.size(); ++i) {
        const std::uint64_t before = queries_before(number, i);
        out.sizes.push_back(static_cast<std::int64_t>(queries_before(number + 1, i) - before));
        ids += static_cast<std::uint64_t>(out.sizes[i]) * plans_[i].program.width();
    }
    out.rows.resize(ids);

    Verifier verifier(graph, options_, tables_, space, out);
    verifier.draw_shared();
    Segment segment{.rows = out.rows.data()};
    std::uint64_t one_hops_before = 0;
    for (segment.index = 0; segment.index < plans_.size(); ++segment.index) {
        const Walk& walk = walks_[segment.index];
        segment.size = static_cast<std::uint64_t>(out.sizes[segment.index]);
        segment.position = queries_before(number, segment.index);
        if (walk.one_hop()) {
            // Segments of the same structure take turns in its epochs.
            segment.position = segment.position * one_hops_ + one_hops_before++;
            fill_edges(graph, segment, space, verifier, out);
        } else if (!fill_walks(graph, segment, stop, space, verifier, out)) {
            out.failed = static_cast<std::int64_t>(segment.index);
            return;
        }
        segment.lane += segment.size;
        segment.rows += segment.size * walk.width();
    }
}

template <class Rel, class Offset>
void QuerySampling::fill_edges(const IndexView<Rel, Offset>& graph, const Segment& segment, SamplingSpace& space,
                               Verifier<Rel, Offset>& verifier, QueryBatch& out) const {
    const std::uint64_t edges = graph.num_edges();
    const double log_prob = -std::log(static_cast<double>(edges));
    std::uint64_t position = segment.position;
    Epochs order(edges, options_.seed, Permuted::kTrained, position);
    std::array<std::uint64_t, kBlockLanes> edge, run;
    for (std::uint64_t first = 0; first < segment.size; first += kBlockLanes) {
        const std::uint64_t lanes = std::min(kBlockLanes, segment.size - first);
        // Each pass fetches what the next one reads.
        for (std::uint64_t i = 0; i < lanes; ++i, position += one_hops_) {
            edge[i] = order(position);
            edges_.prefetch_run(edge[i]);
            __builtin_prefetch(&graph.targets[edge[i]]);
        }
        for (std::uint64_t i = 0; i < lanes; ++i) __builtin_prefetch(&graph.run_starts[edges_.run_near(edge[i])]);
        for (std::uint64_t i = 0; i < lanes; ++i) {
            run[i] = edges_.run_of(graph, edge[i]);
            edges_.prefetch_head(run[i]);
            __builtin_prefetch(&graph.run_relations[run[i]]);
            __builtin_prefetch(&graph.targets[graph.run_starts[run[i]]]);
        }
        for (std::uint64_t i = 0; i < lanes; ++i) __builtin_prefetch(&graph.entity_runs[edges_.head_near(run[i])]);
        for (std::uint64_t i = 0; i < lanes; ++i) {
            const std::uint64_t lane = segment.lane + first + i;
            std::int64_t* const row = segment.rows + 2 * (first + i);
            row[0] = static_cast<std::int64_t>(edges_.head_of(graph, run[i]));
            row[1] = static_cast<std::int64_t>(graph.run_relations[run[i]]);
            out.log_probs[lane] = log_prob;
            LaneRandom random(options_.seed, out.number, static_cast<std::uint32_t>(lane));
            verifier.turn_to(row, walks_[segment.index].leading());
            verifier.accept(set_of(graph, graph.run(run[i])), space.answers.sets, graph.targets[edge[i]], false, lane,
                            random);
        }
    }
    out.outcomes[segment.index * kOutcomes] = static_cast<std::int64_t>(segment.size);
}

// Returns false when a query could not be drawn within the attempts that are allowed.
template <class Rel, class Offset>
bool QuerySampling::fill_walks(const IndexView<Rel, Offset>& graph, const Segment& segment, const std::stop_token& stop,
                               SamplingSpace& space, Verifier<Rel, Offset>& verifier, QueryBatch& out) const {
    const Walk& walk = walks_[segment.index];
    const BlockPlan& plan = plans_[segment.index];
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
            const bool none_drawn = space.pending.size() == lanes;
            if (attempt == options_.attempts || (none_drawn && attempt * lanes >= options_.attempts)) return false;
            if (stop.stop_requested()) return true;
            drawer.attempt(space.pending, block, rows);
            space.drawn.clear();
            for (const std::uint32_t i : space.pending)
                if (block.outcomes[i] == Outcome::kDrawn) space.drawn.push_back(i);
            BlockAnswers<Rel, Offset> answers(graph, plan, options_.expansion_limit, lanes, rows, space.answers);
            answers.execute(space.drawn);
            space.rejected.clear();
            for (const std::uint32_t i : space.pending) {
                Outcome& outcome = block.outcomes[i];
                const std::uint64_t lane = first_lane + i;
                if (outcome == Outcome::kDrawn) {
                    verifier.turn_to(rows + i * walk.width(), walk.leading());
                    outcome = verifier.accept(answers, i, block.at(0, i), lane, block.random[i]);
                }
                ++outcomes[static_cast<std::size_t>(outcome)];
                if (outcome == Outcome::kDrawn)
                    out.log_probs[lane] = block.log_probs[i];
                else
                    space.rejected.push_back(i);
            }
            std::swap(space.pending, space.rejected);
        }
    }
    return true;
}

template void QuerySampling::fill(const IndexView<std::uint16_t, std::uint32_t>&, std::uint64_t, const std::stop_token&,
                                  SamplingSpace&, QueryBatch&) const;
template void QuerySampling::fill(const IndexView<std::uint32_t, std::uint32_t>&, std::uint64_t, const std::stop_token&,
                                  SamplingSpace&, QueryBatch&) const;
template void QuerySampling::fill(const IndexView<std::uint16_t, std::uint64_t>&, std::uint64_t, const std::stop_token&,
                                  SamplingSpace&, QueryBatch&) const;
template void QuerySampling::fill(const IndexView<std::uint32_t, std::uint64_t>&, std::uint64_t, const std::stop_token&,
                                  SamplingSpace&, QueryBatch&) const;

template QuerySampling::QuerySampling(const IndexView<std::uint16_t, std::uint32_t>&, const std::vector<Program>&,
                                      const QueryOptions&);
template QuerySampling::QuerySampling(const IndexView<std::uint32_t, std::uint32_t>&, const std::vector<Program>&,
                                      const QueryOptions&);
template QuerySampling::QuerySampling(const IndexView<std::uint16_t, std::uint64_t>&, const std::vector<Program>&,
                                      const QueryOptions&);
template QuerySampling::QuerySampling(const IndexView<std::uint32_t, std::uint64_t>&, const std::vector<Program>&,
                                      const QueryOptions&);

}  // namespace graphkit
