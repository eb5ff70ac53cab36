// Draws queries backwards, from an answer along edges to the anchors: every draw is a query with a witness.
//
// A query tree is compiled to straight-line steps over slots, each of which holds an entity. A block of lanes takes
// every step together, so that the steps of many queries can share the waiting for memory.
#pragma once

#include <cstdint>
#include <vector>

#include "queries/tree.hpp"

namespace graphkit {

enum class WalkOperation : std::uint8_t {
    kHop,     // draw an edge that ends in `from`: its relation goes to `column`, its start to the slot `to`
    kFresh,   // draw an entity for `to`: what lies below it is negated, and need not hold for the answer
    kChoose,  // one of the slots `ways` keeps the entity of `from`; entities for the others are drawn
    kAnchor,  // the entity of `from` is the anchor in `column`
};

struct WalkStep {
    WalkOperation operation;
    std::uint32_t from = 0, to = 0, column = 0;
    std::vector<std::uint32_t> ways = {};
};

// Two parts of a row, column by column.
struct ColumnPairs {
    std::vector<std::uint32_t> first, second;
};

// How queries of one structure are drawn; the answer is in slot 0.
class Walk {
  public:
    explicit Walk(const Program& program);

    const std::vector<WalkStep>& steps() const { return steps_; }
    std::uint32_t slots() const { return slots_; }
    std::uint64_t width() const { return width_; }

    // Branches of one intersection or union that look alike: with equal ids they would be one branch.
    const std::vector<ColumnPairs>& siblings() const { return siblings_; }
    // Relations that are followed one right after the other.
    const ColumnPairs& successions() const { return successions_; }
    // Columns of the relations that lead to the answer: those with no projection and an even number of negations above
    // them.
    const std::vector<std::uint32_t>& leading() const { return leading_; }

    // Whether this is (anchor, relation, ?), without as much as a double negation.
    bool one_hop() const { return nodes_.size() == 2 && nodes_[1].operation == Operation::kProject; }

  private:
    bool negates_twice(std::uint32_t node) const;
    void compile(std::uint32_t node, std::uint32_t slot);
    void note_siblings(const std::vector<std::uint32_t>& branches);
    void note_successions(std::uint32_t node, std::uint32_t outer);
    void note_leading(std::uint32_t node, bool negated);
    void describe(std::uint32_t node, std::vector<std::uint64_t>& shape, std::vector<std::uint32_t>& columns) const;

    std::vector<QueryNode> nodes_;  // in post-order
    std::vector<WalkStep> steps_;
    std::vector<ColumnPairs> siblings_;
    ColumnPairs successions_;
    std::vector<std::uint32_t> leading_;
    std::uint32_t slots_ = 1;
    std::uint64_t width_;
};

}  // namespace graphkit
