#include "samplers/walk.hpp"

namespace graphkit {

Walk::Walk(const Program& program) : nodes_(tree_of(program)), width_(program.width()) {
    const auto root = static_cast<std::uint32_t>(nodes_.size() - 1);
    compile(root, 0);
    note_leading(root, false);
}

bool Walk::negates_twice(std::uint32_t node) const {
    const auto is_negation = [&](std::uint32_t i) { return nodes_[i].operation == Operation::kNegate; };
    return is_negation(node) && is_negation(nodes_[node].operands[0]);
}

// Adds the steps below a node whose entity is in `slot`: a node comes before its operands.
void Walk::compile(std::uint32_t node, std::uint32_t slot) {
    const auto& [operation, column, operands, _] = nodes_[node];
    switch (operation) {
        case Operation::kAnchor:
            steps_.push_back({.operation = WalkOperation::kAnchor, .from = slot, .column = column});
            break;
        case Operation::kProject: {
            const std::uint32_t start = slots_++;
            steps_.push_back({.operation = WalkOperation::kHop, .from = slot, .to = start, .column = column});
            note_successions(operands[0], column);
            compile(operands[0], start);
            break;
        }
        case Operation::kIntersect:
            note_siblings(operands);
            for (const std::uint32_t branch : operands) compile(branch, slot);
            break;
        case Operation::kUnite: {
            note_siblings(operands);
            WalkStep step{.operation = WalkOperation::kChoose, .from = slot};
            for (std::size_t i = 0; i < operands.size(); ++i) step.ways.push_back(slots_++);
            steps_.push_back(step);
            for (std::size_t i = 0; i < operands.size(); ++i) compile(operands[i], step.ways[i]);
            break;
        }
        case Operation::kNegate: {
            if (negates_twice(node)) {
                compile(nodes_[operands[0]].operands[0], slot);  // not (not A) holds where A does
                break;
            }
            const std::uint32_t other = slots_++;
            steps_.push_back({.operation = WalkOperation::kFresh, .to = other});
            compile(operands[0], other);
            break;
        }
    }
}

void Walk::note_siblings(const std::vector<std::uint32_t>& branches) {
    for (std::size_t i = 0; i < branches.size(); ++i) {
        for (std::size_t j = i + 1; j < branches.size(); ++j) {
            std::vector<std::uint64_t> shape, other;
            ColumnPairs pair;
            describe(branches[i], shape, pair.first);
            describe(branches[j], other, pair.second);
            if (shape == other) siblings_.push_back(pair);
        }
    }
}

// Notes the relations that lead to `node` as followed by the one in column `outer`.
void Walk::note_successions(std::uint32_t node, std::uint32_t outer) {
    const auto& [operation, column, operands, _] = nodes_[node];
    switch (operation) {
        case Operation::kProject:
            successions_.first.push_back(column);
            successions_.second.push_back(outer);
            break;
        case Operation::kIntersect:
        case Operation::kUnite:
            for (const std::uint32_t branch : operands) note_successions(branch, outer);
            break;
        case Operation::kNegate:  // what a negated branch leads to is what the walk does not come from
            if (negates_twice(node)) note_successions(nodes_[operands[0]].operands[0], outer);
            break;
        case Operation::kAnchor:
            break;
    }
}

void Walk::note_leading(std::uint32_t node, bool negated) {
    const auto& [operation, column, operands, _] = nodes_[node];
    if (operation == Operation::kProject) {
        if (!negated) leading_.push_back(column);
        return;
    }
    for (const std::uint32_t operand : operands) note_leading(operand, negated != (operation == Operation::kNegate));
}

// The operations of a subtree in post-order, and the columns that it reads.
void Walk::describe(std::uint32_t node, std::vector<std::uint64_t>& shape, std::vector<std::uint32_t>& columns) const {
    const auto& [operation, column, operands, _] = nodes_[node];
    for (const std::uint32_t operand : operands) describe(operand, shape, columns);
    shape.push_back(static_cast<std::uint64_t>(operation));
    shape.push_back(operands.size());
    if (operation == Operation::kAnchor || operation == Operation::kProject) columns.push_back(column);
}

}  // namespace graphkit
