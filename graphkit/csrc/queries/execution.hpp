// Exact symbolic execution: all answers of queries of one structure on a graph.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "queries/program.hpp"

namespace graphkit {

// The ids of B queries, row by row.
struct QueryRows {
    std::span<const std::int64_t> ids;  // [B * width]
    std::uint64_t count;                // B
};

// The answers of query i, ascending, are values[offsets[i]] to values[offsets[i + 1]].
struct AnswerLists {
    std::vector<std::int64_t> values;   // [A]
    std::vector<std::int64_t> offsets;  // [B + 1]
};

// Executes every row. Beside the answers, each thread holds a bitmap of N bits and the sets of one query. The result
// does not depend on the number of threads. Throws std::out_of_range for an anchor that the graph lacks; a relation
// that it lacks leads nowhere.
template <class Rel, class Offset>
AnswerLists execute(const IndexView<Rel, Offset>& graph, const Program& program, QueryRows rows, unsigned threads);

}  // namespace graphkit
