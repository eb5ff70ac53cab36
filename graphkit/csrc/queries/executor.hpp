// Runs a program on one row of ids after another, on the calling thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "queries/entity_set.hpp"
#include "queries/program.hpp"

namespace graphkit {

// What execution keeps from row to row, so that a running executor allocates little: a bitmap of N bits at most, and
// the sets of one query.
struct ExecutionSpace {
    explicit ExecutionSpace(std::uint64_t num_entities) : uniter(num_entities) {}

    Uniter uniter;
    std::vector<EntitySet> stack;
};

// The answers of one row, valid until the space is used again. Anchors must be entities of the graph.
template <class Rel, class Offset>
const EntitySet& answers_of(const IndexView<Rel, Offset>& graph, const Program& program, const std::int64_t* row,
                            ExecutionSpace& space) {
    auto& [uniter, stack] = space;
    stack.clear();
    for (const Instruction& instruction : program.instructions()) {
        switch (instruction.operation) {
            case Operation::kAnchor:
                stack.emplace_back(std::vector{static_cast<Entity>(row[instruction.operand])});
                break;
            case Operation::kProject: {
                const auto relation = static_cast<std::uint64_t>(row[instruction.operand]);
                // Runs belong to the index, so that what is borrowed outlives the set that led to it.
                for (const Entity x : stack.back().entities()) uniter.add(graph.neighbors(x, relation));
                stack.back() = uniter.finish();
                break;
            }
            case Operation::kIntersect:
            case Operation::kUnite: {
                const std::span<EntitySet> sets = std::span(stack).last(instruction.operand);
                EntitySet made =
                    instruction.operation == Operation::kIntersect ? intersect(sets, uniter) : unite(sets, uniter);
                stack.resize(stack.size() - instruction.operand);
                stack.push_back(std::move(made));
                break;
            }
            case Operation::kNegate:
                stack.back().negate();
                break;
        }
    }
    return stack.back();
}

}  // namespace graphkit
