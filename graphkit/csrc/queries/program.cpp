#include "queries/program.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace graphkit {
namespace {

// What is known of a set before any id is.
struct Shape {
    std::uint64_t depth;
    bool complement;
};

[[noreturn]] void fail(const std::string& what) { throw std::invalid_argument("the query's program " + what); }

Shape combine(std::span<const Shape> operands, Operation operation) {
    Shape made{0, operation == Operation::kIntersect};
    for (const Shape& shape : operands) {
        made.depth = std::max(made.depth, shape.depth);
        if (operation == Operation::kIntersect)
            made.complement = made.complement && shape.complement;
        else
            made.complement = made.complement || shape.complement;
    }
    if (operation == Operation::kNegate) made.complement = !made.complement;
    ++made.depth;
    if (made.depth > kMaxQueryDepth) fail("is nested more than " + std::to_string(kMaxQueryDepth) + " levels deep");
    return made;
}

}  // namespace

Program::Program(std::span<const std::int64_t> code, std::uint64_t width) : width_(width) {
    std::vector<Shape> stack;
    for (std::size_t i = 0; i + 1 < code.size(); i += 2) {
        if (code[i] < 0 || code[i] > static_cast<std::int64_t>(Operation::kNegate)) fail("has an unknown operation");
        const auto operation = static_cast<Operation>(code[i]);
        const auto operand = static_cast<std::uint64_t>(code[i + 1]);
        const bool reads_row = operation == Operation::kAnchor || operation == Operation::kProject;
        if (reads_row && operand >= width) fail("names a column that rows lack");
        instructions_.push_back({operation, operand});
        if (operation == Operation::kAnchor) {
            stack.push_back({1, false});
            continue;
        }
        const bool counted = operation == Operation::kIntersect || operation == Operation::kUnite;
        const std::uint64_t taken = counted ? operand : 1;
        if (taken == 0 || taken > stack.size()) fail("takes more sets than there are, or none");
        if (operation == Operation::kProject && stack.back().complement) fail("follows a relation from a complement");
        const Shape made = combine(std::span(stack).last(taken), operation);
        stack.resize(stack.size() - taken);
        stack.push_back(made);
    }
    if (stack.size() != 1) fail("leaves " + std::to_string(stack.size()) + " sets instead of one");
    complement_ = stack.back().complement;
}

}  // namespace graphkit
