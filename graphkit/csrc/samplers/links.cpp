#include "samplers/links.hpp"

#include <algorithm>

#include "samplers/permutation.hpp"
#include "samplers/philox.hpp"

namespace graphkit {
namespace {

// A query that everything answers has no negative: its row is filled and masked out.
void draw_own(std::span<const Entity> answers, std::uint64_t num_entities, LaneRandom random,
              std::span<std::int64_t> row, std::span<std::uint8_t> mask) {
    const std::uint64_t non_answers = num_entities - answers.size();
    std::fill(mask.begin(), mask.end(), non_answers > 0);
    for (std::int64_t& negative : row)
        negative = non_answers > 0 ? static_cast<std::int64_t>(non_answer(answers, random.below(non_answers))) : 0;
}

// Marks the candidates that are no answers, from the shorter side.
void mask_shared(std::span<const Entity> answers, std::span<const std::pair<Entity, std::uint32_t>> sorted,
                 std::span<std::uint8_t> mask) {
    std::fill(mask.begin(), mask.end(), 1);
    if (answers.size() < sorted.size()) {
        for (const Entity answer : answers) {
            auto hit = std::lower_bound(sorted.begin(), sorted.end(), std::pair{answer, 0U});
            for (; hit != sorted.end() && hit->first == answer; ++hit) mask[hit->second] = 0;
        }
    } else {
        for (const auto& [entity, place] : sorted)
            if (std::binary_search(answers.begin(), answers.end(), entity)) mask[place] = 0;
    }
}

std::vector<std::pair<Entity, std::uint32_t>> draw_shared(std::uint64_t num_entities, const LinkOptions& options,
                                                          std::uint64_t number, LinkBatch& out) {
    LaneRandom random(options.seed, number, LaneRandom::kBatchLane);
    std::vector<std::pair<Entity, std::uint32_t>> sorted;
    sorted.reserve(options.negatives);
    for (std::uint32_t i = 0; i < options.negatives; ++i) {
        const std::uint64_t candidate = random.below(num_entities);
        out.candidates[i] = static_cast<std::int64_t>(candidate);
        sorted.emplace_back(static_cast<Entity>(candidate), i);
    }
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

}  // namespace

template <class Rel, class Offset>
void fill_links(const IndexView<Rel, Offset>& graph, const LinkOptions& options, std::uint64_t number, LinkBatch& out) {
    const std::uint64_t size = options.batch_size;
    const std::uint64_t width = options.mode == Negatives::kNone ? 0 : options.negatives;
    out.number = number;
    out.queries.resize(2 * size);
    out.positives.resize(size);
    out.counts.resize(size);
    out.candidates.resize(options.mode == Negatives::kOwn ? size * width : width);
    out.mask.resize(size * width);

    std::vector<std::pair<Entity, std::uint32_t>> shared;
    if (options.mode == Negatives::kShared) shared = draw_shared(graph.num_entities(), options, number, out);

    std::uint64_t position = number * size;
    std::uint64_t epoch = position / graph.num_edges();
    EpochPermutation order(graph.num_edges(), options.seed, epoch);
    for (std::uint64_t lane = 0; lane < size; ++lane, ++position) {
        if (position / graph.num_edges() != epoch) {
            epoch = position / graph.num_edges();
            order = EpochPermutation(graph.num_edges(), options.seed, epoch);
        }
        const auto edge = graph.edge(order(position % graph.num_edges()));
        const auto answers = graph.neighbors(edge.head, edge.relation);
        out.queries[2 * lane] = static_cast<std::int64_t>(edge.head);
        out.queries[2 * lane + 1] = static_cast<std::int64_t>(edge.relation);
        out.positives[lane] = static_cast<std::int64_t>(edge.tail);
        out.counts[lane] = static_cast<std::int64_t>(answers.size());
        const std::span<std::uint8_t> mask(out.mask.data() + lane * width, width);
        if (options.mode == Negatives::kOwn) {
            const std::span<std::int64_t> row(out.candidates.data() + lane * width, width);
            draw_own(answers, graph.num_entities(), {options.seed, number, static_cast<std::uint32_t>(lane)}, row,
                     mask);
        } else if (options.mode == Negatives::kShared) {
            mask_shared(answers, shared, mask);
        }
    }
}

template void fill_links(const IndexView<std::uint16_t, std::uint32_t>&, const LinkOptions&, std::uint64_t, LinkBatch&);
template void fill_links(const IndexView<std::uint32_t, std::uint32_t>&, const LinkOptions&, std::uint64_t, LinkBatch&);
template void fill_links(const IndexView<std::uint16_t, std::uint64_t>&, const LinkOptions&, std::uint64_t, LinkBatch&);
template void fill_links(const IndexView<std::uint32_t, std::uint64_t>&, const LinkOptions&, std::uint64_t, LinkBatch&);

}  // namespace graphkit
