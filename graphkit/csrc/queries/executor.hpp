// Runs a program on one row of ids after another, on the calling thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "queries/entity_set.hpp"
#include "queries/program.hpp"

namespace graphkit {

// What execution keeps from row to row, so that a running executor allocates nothing: sets and a bit for each entity.
struct ExecutionSpace {
    explicit ExecutionSpace(std::uint64_t num_entities) : sets(num_entities) {}

    SetSpace sets;
    std::vector<EntitySet> stack;
};

// The answers of one row, in any order, valid until the space is used again. Anchors must be entities of the graph.
template <class Rel, class Offset>
EntitySet answers_of(const IndexView<Rel, Offset>& graph, const Program& program, const std::int64_t* row,
                     ExecutionSpace& space) {
    auto& [sets, stack] = space;
    sets.reset();
    stack.clear();
    for (const Instruction& instruction : program.instructions()) {
        switch (instruction.operation) {
            case Operation::kAnchor:
                stack.push_back(sets.single(static_cast<Entity>(row[instruction.operand])));
                break;
            case Operation::kProject:
                stack.back() = sets.project(graph, stack.back(), static_cast<std::uint64_t>(row[instruction.operand]));
                break;
            case Operation::kIntersect:
            case Operation::kUnite: {
                const std::span<EntitySet> operands = std::span(stack).last(instruction.operand);
                const EntitySet made =
                    instruction.operation == Operation::kIntersect ? sets.intersect(operands) : sets.unite(operands);
                stack.resize(stack.size() - instruction.operand);
                stack.push_back(made);
                break;
            }
            case Operation::kNegate:
                stack.back().complement = !stack.back().complement;
                break;
        }
    }
    return stack.back();
}

}  // namespace graphkit
