// A query structure compiled for execution: instructions in post-order for a stack of entity sets.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace graphkit {

// Levels of a query at most, in every language of the library.
inline constexpr std::uint64_t kMaxQueryDepth = 100;

enum class Operation : std::uint8_t {
    kAnchor,     // push the set of one entity; operand: its column in the row
    kProject,    // follow a relation from the topmost set; operand: the relation's column
    kIntersect,  // replace the topmost sets by their intersection; operand: how many
    kUnite,      // replace the topmost sets by their union; operand: how many
    kNegate,     // complement the topmost set; no operand
};

struct Instruction {
    Operation operation;
    std::uint64_t operand;
};

// A checked program: it can run on any row of `width` ids without reading out of bounds.
class Program {
  public:
    // `code` holds (operation, operand) pairs. Throws std::invalid_argument unless they leave one set on the stack,
    // name columns below `width`, nest no deeper than kMaxQueryDepth, and follow relations from no complement.
    Program(std::span<const std::int64_t> code, std::uint64_t width);

    const std::vector<Instruction>& instructions() const { return instructions_; }
    std::uint64_t width() const { return width_; }
    // Whether the answers are all entities but some.
    bool complement() const { return complement_; }

  private:
    std::vector<Instruction> instructions_;
    std::uint64_t width_;
    bool complement_ = false;
};

}  // namespace graphkit
