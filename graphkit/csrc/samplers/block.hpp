// A block of lanes that draws queries of one structure, step by step and all lanes together.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "samplers/philox.hpp"
#include "samplers/walk.hpp"

namespace graphkit {

enum class AnswerDraw : std::uint8_t {
    kUniform,  // over the entities
    kDegree,   // in proportion to the number of edges
};

// What became of an attempt to draw a query.
enum class Outcome : std::uint8_t {
    kDrawn,
    kDeadEnd,      // an entity without edges
    kRepeated,     // two branches of an intersection or union are the same
    kBacktracked,  // a relation is followed by its inverse, where that is excluded
    kRefuted,      // the entity that the walk began at is no answer: a negated branch holds for it
    kEverything,   // every entity is an answer, so that nothing is a negative
    kOutOfBounds,  // fewer or more answers than are wanted
};
inline constexpr std::size_t kOutcomes = 7;

// Slots and probabilities of the lanes of a block, each an array over the lanes.
struct Block {
    void begin(std::uint64_t seed, std::uint64_t batch, std::uint32_t first_lane, std::size_t count,
               std::uint32_t num_slots) {
        lanes = count;
        random.clear();
        for (std::size_t i = 0; i < count; ++i)
            random.emplace_back(seed, batch, static_cast<std::uint32_t>(first_lane + i));
        slots.assign(count * num_slots, 0);
        log_probs.assign(count, 0.0);
        ways.assign(count, 1.0);
        edges.resize(count);
        outcomes.assign(count, Outcome::kDrawn);
    }
    // Counts a draw of one among `number`: a logarithm is taken of many of them together.
    void chose(std::size_t lane, double number) {
        ways[lane] *= number;
        if (ways[lane] > 1e150) {
            log_probs[lane] -= std::log(ways[lane]);
            ways[lane] = 1;
        }
    }
    Entity& at(std::uint32_t slot, std::size_t lane) { return slots[slot * lanes + lane]; }

    std::size_t lanes = 0;
    std::vector<LaneRandom> random;
    std::vector<Entity> slots;      // [slots][lanes]
    std::vector<double> log_probs;  // of the walk, natural logarithm
    std::vector<double> ways;       // those that were not counted in log_probs yet, multiplied
    std::vector<std::uint64_t> edges;
    std::vector<Outcome> outcomes;
};

// Takes one attempt for each lane of `some`: draws an answer (slot 0), then every step of the walk. Writes the ids into
// the lanes' rows and says in `outcomes` what became of it; a lane that fails draws no more in this attempt.
template <class Rel, class Offset>
class BlockDrawer {
  public:
    BlockDrawer(const IndexView<Rel, Offset>& graph, const Walk& walk, AnswerDraw answers, bool backtracking)
        : graph_(graph), walk_(walk), answers_(answers), backtracking_(backtracking) {}

    void attempt(std::span<const std::uint32_t> some, Block& block, std::int64_t* rows) const {
        for (const std::uint32_t lane : some) {
            block.outcomes[lane] = Outcome::kDrawn;
            block.log_probs[lane] = 0;
            block.ways[lane] = 1;
            draw_entity(0, lane, block);
        }
        for (const WalkStep& step : walk_.steps()) take(step, some, block, rows);
        for (const std::uint32_t lane : some) {
            if (block.outcomes[lane] != Outcome::kDrawn) continue;
            block.log_probs[lane] -= std::log(block.ways[lane]);
            block.outcomes[lane] = judge({rows + lane * walk_.width(), walk_.width()});
        }
    }

  private:
    template <class Visit>
    static void each(std::span<const std::uint32_t> some, const Block& block, Visit visit) {
        for (const std::uint32_t lane : some)
            if (block.outcomes[lane] == Outcome::kDrawn) visit(lane);
    }

    void take(const WalkStep& step, std::span<const std::uint32_t> some, Block& block, std::int64_t* rows) const {
        switch (step.operation) {
            case WalkOperation::kHop:
                hop(step, some, block, rows);
                break;
            case WalkOperation::kFresh:
                each(some, block, [&](std::uint32_t lane) { draw_entity(step.to, lane, block); });
                break;
            case WalkOperation::kChoose:
                each(some, block, [&](std::uint32_t lane) { choose(step, lane, block); });
                break;
            case WalkOperation::kAnchor:
                each(some, block, [&](std::uint32_t lane) {
                    rows[lane * walk_.width() + step.column] = static_cast<std::int64_t>(block.at(step.from, lane));
                });
                break;
        }
    }

    void choose(const WalkStep& step, std::uint32_t lane, Block& block) const {
        const std::uint64_t kept = block.random[lane].below(step.ways.size());
        block.chose(lane, static_cast<double>(step.ways.size()));
        for (std::size_t i = 0; i < step.ways.size(); ++i) {
            if (i == kept)
                block.at(step.ways[i], lane) = block.at(step.from, lane);
            else
                draw_entity(step.ways[i], lane, block);
        }
    }

    void draw_entity(std::uint32_t slot, std::uint32_t lane, Block& block) const {
        LaneRandom& random = block.random[lane];
        if (answers_ == AnswerDraw::kUniform) {
            block.at(slot, lane) = static_cast<Entity>(random.below(graph_.num_entities()));
            block.chose(lane, static_cast<double>(graph_.num_entities()));
            return;
        }
        const Entity drawn = graph_.targets[random.below(graph_.num_edges())];  // every edge has its inverse
        block.at(slot, lane) = drawn;
        block.chose(lane, static_cast<double>(graph_.num_edges()) / static_cast<double>(graph_.degree(drawn)));
    }

    // An edge x -q-> y of the index is the edge y -r-> x of the inverse relation r. Each pass fetches what the next one
    // reads.
    void hop(const WalkStep& step, std::span<const std::uint32_t> some, Block& block, std::int64_t* rows) const {
        const auto starts = graph_.run_starts.begin();
        each(some, block,
             [&](std::uint32_t lane) { __builtin_prefetch(&graph_.entity_runs[block.at(step.from, lane)]); });
        each(some, block, [&](std::uint32_t lane) {
            const Entity x = block.at(step.from, lane);
            __builtin_prefetch(&starts[graph_.entity_runs[x]]);
            __builtin_prefetch(&starts[graph_.entity_runs[x + 1]]);
            __builtin_prefetch(graph_.run_relations.data() + graph_.entity_runs[x]);
        });
        each(some, block, [&](std::uint32_t lane) {
            const Entity x = block.at(step.from, lane);
            const std::uint64_t degree = graph_.degree(x);
            if (degree == 0) {
                block.outcomes[lane] = Outcome::kDeadEnd;
                return;
            }
            block.edges[lane] = starts[graph_.entity_runs[x]] + block.random[lane].below(degree);
            block.chose(lane, static_cast<double>(degree));
            __builtin_prefetch(&graph_.targets[block.edges[lane]]);
        });
        each(some, block, [&](std::uint32_t lane) {
            const Entity x = block.at(step.from, lane);
            const auto first = starts + graph_.entity_runs[x], last = starts + graph_.entity_runs[x + 1];
            const auto run = std::upper_bound(first, last, block.edges[lane]) - starts - 1;
            rows[lane * walk_.width() + step.column] = static_cast<std::int64_t>(graph_.run_relations[run] ^ 1);
            block.at(step.to, lane) = graph_.targets[block.edges[lane]];
        });
    }

    Outcome judge(std::span<const std::int64_t> row) const {
        for (const auto& [first, second] : walk_.siblings()) {
            const auto same = [&](std::uint32_t a, std::uint32_t b) { return row[a] == row[b]; };
            if (std::equal(first.begin(), first.end(), second.begin(), same)) return Outcome::kRepeated;
        }
        const auto& [inner, outer] = walk_.successions();
        for (std::size_t i = 0; !backtracking_ && i < inner.size(); ++i)
            if (row[inner[i]] == (row[outer[i]] ^ 1)) return Outcome::kBacktracked;
        return Outcome::kDrawn;
    }

    const IndexView<Rel, Offset>& graph_;
    const Walk& walk_;
    AnswerDraw answers_;
    bool backtracking_;
};

}  // namespace graphkit
