// A program as a tree: its instructions with their operands.
#pragma once

#include <cstdint>
#include <vector>

#include "queries/program.hpp"

namespace graphkit {

struct QueryNode {
    Operation operation;
    std::uint32_t column = 0;                  // of the row, for anchors and projections
    std::vector<std::uint32_t> operands = {};  // numbers of nodes
};

// The nodes in post-order; the root comes last.
inline std::vector<QueryNode> tree_of(const Program& program) {
    std::vector<QueryNode> nodes;
    std::vector<std::uint32_t> stack;
    for (const auto& [operation, operand] : program.instructions()) {
        std::uint64_t taken = 1;
        if (operation == Operation::kAnchor) taken = 0;
        if (operation == Operation::kIntersect || operation == Operation::kUnite) taken = operand;
        nodes.push_back({operation,
                         static_cast<std::uint32_t>(operand),
                         {stack.end() - static_cast<std::ptrdiff_t>(taken), stack.end()}});
        stack.resize(stack.size() - taken);
        stack.push_back(static_cast<std::uint32_t>(nodes.size() - 1));
    }
    return nodes;
}

}  // namespace graphkit
