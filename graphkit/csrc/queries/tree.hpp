// A program as a tree: its instructions with their operands.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "queries/program.hpp"

namespace graphkit {

struct QueryNode {
    Operation operation;
    std::uint32_t column = 0;                  // of the row, for anchors and projections
    std::vector<std::uint32_t> operands = {};  // numbers of nodes
    bool complement = false;                   // whether the set holds all entities but some
};

// The nodes in post-order; the root comes last.
inline std::vector<QueryNode> tree_of(const Program& program) {
    std::vector<QueryNode> nodes;
    std::vector<std::uint32_t> stack;
    for (const auto& [operation, operand] : program.instructions()) {
        std::uint64_t taken = 1;
        if (operation == Operation::kAnchor) taken = 0;
        if (operation == Operation::kIntersect || operation == Operation::kUnite) taken = operand;
        QueryNode node{operation, static_cast<std::uint32_t>(operand)};
        node.operands.assign(stack.end() - static_cast<std::ptrdiff_t>(taken), stack.end());
        const auto is_complement = [&](std::uint32_t i) { return nodes[i].complement; };
        if (operation == Operation::kNegate) node.complement = !is_complement(node.operands[0]);
        if (operation == Operation::kIntersect) node.complement = std::ranges::all_of(node.operands, is_complement);
        if (operation == Operation::kUnite) node.complement = std::ranges::any_of(node.operands, is_complement);
        nodes.push_back(std::move(node));
        stack.resize(stack.size() - taken);
        stack.push_back(static_cast<std::uint32_t>(nodes.size() - 1));
    }
    return nodes;
}

}  // namespace graphkit
