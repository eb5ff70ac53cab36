// Small graphs, query structures, and the answers of queries by the definition.
#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "graph/index.hpp"

namespace graphkit {

using Edge = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
using Code = std::vector<std::int64_t>;
using Set = std::set<std::int64_t>;

struct Drawn {
    IndexArrays<std::uint16_t, std::uint32_t> arrays;
    std::uint64_t entities;
    std::set<Edge> edges;  // directed
};

inline Drawn build(const std::vector<Edge>& triples, std::uint64_t entities) {
    std::vector<std::int64_t> rows;
    std::set<Edge> edges;
    for (const auto& [h, r, t] : triples) {
        rows.insert(rows.end(), {h, r, t});
        edges.insert({h, 2 * r, t});
        edges.insert({t, 2 * r + 1, h});
    }
    return {build_index<std::uint16_t, std::uint32_t>({rows.data(), triples.size()}, entities), entities, edges};
}

inline Drawn draw_graph(std::uint64_t entities, std::uint64_t relations, std::uint64_t count, unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<Edge> triples;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::int64_t h = random() % entities, r = random() % relations, t = random() % entities;
        triples.push_back({h, r, t});
    }
    return build(triples, entities);
}

// Programs as `program_code` makes them: pairs of operation and operand in post-order.
inline const std::map<std::string, Code> kCodes = {
    {"1p", {0, 0, 1, 1}},
    {"3p", {0, 0, 1, 1, 1, 2, 1, 3}},
    {"2i", {0, 0, 1, 1, 0, 2, 1, 3, 2, 2}},
    {"pi", {0, 0, 1, 1, 1, 2, 0, 3, 1, 4, 2, 2}},
    {"up", {0, 0, 1, 1, 0, 2, 1, 3, 3, 2, 1, 4}},
    {"2in", {0, 0, 1, 1, 0, 2, 1, 3, 4, 0, 2, 2}},
    {"inp", {0, 0, 1, 1, 0, 2, 1, 3, 4, 0, 2, 2, 1, 4}},
    {"not (not 1p) and 1p", {0, 0, 1, 1, 4, 0, 4, 0, 0, 2, 1, 3, 2, 2}},
    {"1p and not (1p or 1p)", {0, 0, 1, 1, 0, 2, 1, 3, 0, 4, 1, 5, 3, 2, 4, 0, 2, 2}},
};

inline std::uint64_t width_of(const Code& code) {
    std::uint64_t width = 0;
    for (std::size_t i = 0; i < code.size(); i += 2) width += code[i] < 2;
    return width;
}

// The definition: sets, written out.
inline Set answers(const Drawn& graph, const Code& code, const std::int64_t* row) {
    std::vector<Set> stack;
    for (std::size_t i = 0; i < code.size(); i += 2) {
        const std::int64_t operation = code[i], operand = code[i + 1];
        Set made;
        if (operation == 0) {
            made.insert(row[operand]);
        } else if (operation == 1 || operation == 4) {
            const Set below = stack.back();
            stack.pop_back();
            if (operation == 1) {
                for (const auto& [h, r, t] : graph.edges)
                    if (r == row[operand] && below.contains(h)) made.insert(t);
            } else {
                for (std::uint64_t x = 0; x < graph.entities; ++x)
                    if (!below.contains(static_cast<std::int64_t>(x))) made.insert(static_cast<std::int64_t>(x));
            }
        } else {
            for (std::uint64_t x = 0; x < graph.entities; ++x) {
                const auto has = [&](const Set& set) { return set.contains(static_cast<std::int64_t>(x)); };
                const auto first = stack.end() - operand;
                if (operation == 2 ? std::all_of(first, stack.end(), has) : std::any_of(first, stack.end(), has))
                    made.insert(static_cast<std::int64_t>(x));
            }
            stack.resize(stack.size() - static_cast<std::size_t>(operand));
        }
        stack.push_back(made);
    }
    return stack.back();
}

}  // namespace graphkit
