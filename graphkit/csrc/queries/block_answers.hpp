// The answers of a block of queries of one structure.
//
// Queries are executed forwards from their anchors, one node of the query tree after the other and all lanes of the
// block together, so that their look-ups wait for memory together. Sets are listed while that is cheap; whether an
// entity is in a set that is not listed is decided backwards, from the entity to the sets that are.
//
// Which sets are listed is a rule of sizes, and no matter of the way that is taken:
//   - an anchor always, and a complement when what it negates is,
//   - a projection, when its operand is one entity, or when it leads from at most `limit` listed entities along at most
//     `limit` edges,
//   - an intersection, when a branch that is no complement is listed with at most `limit` entities,
//   - a union, and an intersection of complements alone, when all branches are listed with at most `limit` entities
//     together, where of a complement those are counted that it lacks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <vector>

#include "graph/index.hpp"
#include "queries/entity_set.hpp"
#include "queries/executor.hpp"
#include "queries/member_test.hpp"
#include "queries/tree.hpp"

namespace graphkit {

// A query structure as blocks execute it.
class BlockPlan {
  public:
    explicit BlockPlan(const Program& structure) : program(structure), nodes(tree_of(structure)) {
        awaited.resize(nodes.size());
        for (const QueryNode& node : nodes) {
            negates |= node.operation == Operation::kNegate;
            if (node.operation != Operation::kIntersect) continue;
            for (const std::uint32_t operand : node.operands) {
                const std::uint32_t inner = below_negation(operand);
                awaited[inner] = nodes[inner].operation == Operation::kProject;
            }
        }
    }

    std::uint32_t root() const { return static_cast<std::uint32_t>(nodes.size() - 1); }
    // The node itself, or what it negates.
    std::uint32_t below_negation(std::uint32_t node) const {
        return nodes[node].operation == Operation::kNegate ? nodes[node].operands[0] : node;
    }

    Program program;
    std::vector<QueryNode> nodes;  // in post-order
    bool negates = false;
    // Projections that an intersection takes up when the sizes of its other branches are known.
    std::vector<std::uint8_t> awaited;
};

// An entity of which is asked whether it is in the set of a node.
struct Asked {
    Entity entity;
    std::uint32_t lane;
};

// What execution keeps from block to block, so that it allocates nothing in the long run.
struct BlockSpace {
    explicit BlockSpace(std::uint64_t num_entities) : sets(num_entities) {}

    struct LookUp {
        Entity entity;
        std::uint32_t relation;
    };
    struct Part {
        std::uint32_t lane;
        std::size_t end;  // of the lane's look-ups
    };
    // An entity whose source is asked for it.
    struct Link {
        Entity source;
        std::uint32_t origin;  // place of the entity among those that a level puts to its operands
        std::uint32_t place;   // of the source among those that are asked next
    };
    // What one level of the backward test works on.
    struct Level {
        std::vector<Asked> asked;
        std::vector<std::uint32_t> origins;  // places of `asked` among those that the level was asked for
        std::vector<std::uint8_t> held;
        std::vector<LookUp> look_ups;
        std::vector<std::span<const Entity>> runs;
        std::vector<Asked> next;  // what is put to an operand
        std::vector<std::uint32_t> next_origins;
        std::vector<Link> links;
        std::vector<std::uint8_t> next_held;
    };

    SetSpace sets;
    std::vector<EntitySet> known;      // [nodes][lanes]
    std::vector<std::uint8_t> listed;  // [nodes][lanes]
    std::vector<Entity> anchors;       // [nodes][lanes]
    std::vector<EntitySet> operands;
    std::vector<std::uint32_t> chosen;  // lanes
    std::vector<LookUp> look_ups;
    std::vector<Part> parts;
    std::vector<LookUp> probes;                   // of one lane
    std::vector<std::span<const Entity>> filled;  // runs of one lane
    std::vector<std::uint64_t> found;             // runs of look-ups
    std::vector<std::span<const Entity>> runs;
    std::vector<Asked> asked;
    std::vector<std::uint8_t> held;
    std::deque<Level> levels;
};

template <class Rel, class Offset>
class BlockAnswers {
  public:
    // The rows of a block are those of its lanes, one after the other.
    BlockAnswers(const IndexView<Rel, Offset>& graph, const BlockPlan& plan, std::uint64_t limit, std::size_t lanes,
                 const std::int64_t* rows, BlockSpace& space)
        : graph_(graph), plan_(plan), limit_(limit), lanes_(lanes), rows_(rows), space_(space) {}

    // Executes the queries of some lanes.
    void execute(std::span<const std::uint32_t> some) {
        space_.sets.reset();  // first: it may hold on to anchors
        space_.known.resize(plan_.nodes.size() * lanes_);
        space_.listed.resize(plan_.nodes.size() * lanes_);
        space_.anchors.resize(plan_.nodes.size() * lanes_);
        for (std::uint32_t i = 0; i < plan_.nodes.size(); ++i) {
            for (const std::uint32_t lane : some) listed(i, lane) = false;
            execute(i, some);
        }
    }

    // Whether all answers of a query are listed.
    bool listed(std::uint32_t lane) const { return space_.listed[plan_.root() * lanes_ + lane]; }
    // Those that are, in any order, until the next execution.
    const EntitySet& answers(std::uint32_t lane) const { return space_.known[plan_.root() * lanes_ + lane]; }

    // Whether the entity that a walk began at may be no answer.
    bool refutable() const { return plan_.negates; }

    // Says for each entity whether it is an answer of its lane's query; those of a lane stand together.
    void test(std::span<const Asked> asked, std::span<std::uint8_t> held) { test(plan_.root(), asked, held, 0); }

    // Whether a relation leads to the answers of every query, and which it is for that of a lane.
    bool ends_in_hop() const { return plan_.nodes[plan_.root()].operation == Operation::kProject; }
    std::uint64_t last_relation(std::uint32_t lane) const {
        return static_cast<std::uint64_t>(id(lane, plan_.nodes[plan_.root()].column));
    }

    // All answers of a query, whatever that costs, until the space is used again.
    EntitySet list_all(std::uint32_t lane, ExecutionSpace& space) const {
        return answers_of(graph_, plan_.program, row(lane), space);
    }

  private:
    static constexpr std::size_t kAhead = 16;       // look-ups between a fetch and its use
    static constexpr std::size_t kTogether = 4096;  // look-ups that are held at a time
    static constexpr std::size_t kProbed = 64;      // look-ups of a lane before their edges are counted
    static constexpr std::size_t kTestsOfRun = 64;  // what is expected of a long run before one is found
    static constexpr std::size_t kSearchFrom = 16;  // ratio of lengths from which the longer list is searched

    std::uint8_t& listed(std::uint32_t node, std::uint32_t lane) { return space_.listed[node * lanes_ + lane]; }
    EntitySet& known(std::uint32_t node, std::uint32_t lane) { return space_.known[node * lanes_ + lane]; }
    void set(std::uint32_t node, std::uint32_t lane, const EntitySet& made) {
        known(node, lane) = made;
        listed(node, lane) = true;
    }
    const std::int64_t* row(std::uint32_t lane) const { return rows_ + lane * plan_.program.width(); }
    std::int64_t id(std::uint32_t lane, std::uint32_t column) const { return row(lane)[column]; }

    void execute(std::uint32_t i, std::span<const std::uint32_t> some) {
        const QueryNode& node = plan_.nodes[i];
        switch (node.operation) {
            case Operation::kAnchor:
                for (const std::uint32_t lane : some) {
                    Entity& anchor = space_.anchors[i * lanes_ + lane];
                    anchor = static_cast<Entity>(id(lane, node.column));
                    set(i, lane, {{&anchor, 1}});
                }
                break;
            case Operation::kProject:
                space_.chosen.clear();
                for (const std::uint32_t lane : some)
                    if (!plan_.awaited[i] || known(node.operands[0], lane).entities.size() <= 1)
                        space_.chosen.push_back(lane);
                project(i, space_.chosen);
                break;
            case Operation::kIntersect:
                intersect(i, some);
                break;
            case Operation::kUnite:
                for (const std::uint32_t lane : some) unite(i, lane);
                break;
            case Operation::kNegate:
                for (const std::uint32_t lane : some) negate(i, lane);
                break;
        }
    }

    // Lists the projection where its operand is listed and the rule above allows it.
    void project(std::uint32_t i, std::span<const std::uint32_t> some) {
        const QueryNode& node = plan_.nodes[i];
        space_.look_ups.clear();
        space_.parts.clear();
        for (const std::uint32_t lane : some) {
            if (!listed(node.operands[0], lane)) continue;
            const auto sources = known(node.operands[0], lane).entities;
            if (sources.size() > std::max<std::uint64_t>(limit_, 1)) continue;
            const auto relation = static_cast<std::uint32_t>(id(lane, node.column));
            if (sources.size() > kTogether) {
                project_many(i, lane, relation);
                continue;
            }
            if (sources.size() > kProbed) {
                project_in_parts(i, lane, relation);
                continue;
            }
            for (const Entity x : sources) space_.look_ups.push_back({x, relation});
            space_.parts.push_back({lane, space_.look_ups.size()});
            if (space_.look_ups.size() >= kTogether) project_parts(i);
        }
        project_parts(i);
    }

    // Lists a projection from so many entities that their look-ups are not held together.
    void project_many(std::uint32_t i, std::uint32_t lane, std::uint32_t relation) {
        const EntitySet& from = known(plan_.nodes[i].operands[0], lane);
        if (space_.sets.has_at_most(graph_, from.entities, relation, limit_))
            set(i, lane, space_.sets.project(graph_, from, relation));
    }

    // Lists a projection from many entities, some at a time: the rest need not be looked up where the first have too
    // many edges, as behind a hub.
    void project_in_parts(std::uint32_t i, std::uint32_t lane, std::uint32_t relation) {
        const auto sources = known(plan_.nodes[i].operands[0], lane).entities;
        space_.filled.clear();
        std::uint64_t edges = 0;
        for (std::size_t begin = 0; begin < sources.size(); begin += kProbed) {
            space_.probes.clear();
            for (const Entity x : sources.subspan(begin, std::min(kProbed, sources.size() - begin)))
                space_.probes.push_back({x, relation});
            find_runs(space_.probes, space_.runs);
            for (const auto& run : space_.runs) {
                edges += run.size();
                if (!run.empty()) space_.filled.push_back(run);
            }
            if (edges > limit_) return;
        }
        set(i, lane, space_.sets.unite(space_.filled));
    }

    void project_parts(std::uint32_t i) {
        find_runs(space_.look_ups, space_.runs);
        std::size_t begin = 0;
        for (const auto& [lane, end] : space_.parts) {
            const auto runs = std::span(space_.runs).subspan(begin, end - begin);
            begin = end;
            if (runs.size() == 1) {
                set(i, lane, set_of(graph_, runs[0]));
                continue;
            }
            std::uint64_t edges = 0;
            for (const auto& run : runs) edges += run.size();
            if (edges <= limit_) set(i, lane, space_.sets.unite(runs));
        }
        space_.look_ups.clear();
        space_.parts.clear();
    }

    // The run of each look-up: four steps, of which each fetches what the next one reads.
    void find_runs(std::span<const BlockSpace::LookUp> look_ups, std::vector<std::span<const Entity>>& runs) {
        const std::size_t count = look_ups.size();
        runs.resize(count);
        space_.found.resize(count);
        for (std::size_t i = 0; i < count + 3 * kAhead; ++i) {
            if (i < count) graph_.prefetch_head(look_ups[i].entity);
            if (const std::size_t k = i - kAhead; k < count) {
                const bool open = graph_.may_have(look_ups[k].entity, look_ups[k].relation);
                space_.found[k] = open ? 0 : graph_.kNoRun;
                if (open) __builtin_prefetch(graph_.run_relations.data() + graph_.first_run(look_ups[k].entity));
            }
            if (const std::size_t k = i - 2 * kAhead; k < count && space_.found[k] != graph_.kNoRun) {
                space_.found[k] = graph_.find_run(look_ups[k].entity, look_ups[k].relation);
                if (space_.found[k] != graph_.kNoRun) __builtin_prefetch(&graph_.run_starts[space_.found[k]]);
            }
            if (const std::size_t k = i - 3 * kAhead; k < count) {
                runs[k] = space_.found[k] == graph_.kNoRun ? std::span<const Entity>() : graph_.run(space_.found[k]);
                __builtin_prefetch(runs[k].data());
            }
        }
    }

    void negate(std::uint32_t i, std::uint32_t lane) {
        const std::uint32_t operand = plan_.nodes[i].operands[0];
        if (!listed(operand, lane)) return;
        set(i, lane, known(operand, lane));
        known(i, lane).complement = !known(i, lane).complement;
    }

    // The operands of a node, if all are listed with at most `limit` entities together; else none.
    std::span<EntitySet> small_operands(std::uint32_t i, std::uint32_t lane) {
        space_.operands.clear();
        std::uint64_t size = 0;
        for (const std::uint32_t operand : plan_.nodes[i].operands) {
            if (!listed(operand, lane)) return {};
            space_.operands.push_back(known(operand, lane));
            size += known(operand, lane).entities.size();
        }
        return size <= limit_ ? std::span(space_.operands) : std::span<EntitySet>();
    }

    void unite(std::uint32_t i, std::uint32_t lane) {
        const auto operands = small_operands(i, lane);
        if (!operands.empty()) set(i, lane, space_.sets.unite(operands));
    }

    // Entities of the smallest operand that is listed and no complement.
    std::uint64_t smallest(std::uint32_t i, std::uint32_t lane) {
        std::uint64_t size = std::numeric_limits<std::uint64_t>::max();
        for (const std::uint32_t operand : plan_.nodes[i].operands)
            if (listed(operand, lane) && !known(operand, lane).complement)
                size = std::min<std::uint64_t>(size, known(operand, lane).entities.size());
        return size;
    }

    // An intersection is listed from its smallest branch, so that the other branches need not be: where listing one of
    // them would cost more than to ask it for each entity of the smallest, it is asked.
    void intersect(std::uint32_t i, std::span<const std::uint32_t> some) {
        const auto& operands = plan_.nodes[i].operands;
        for (const std::uint32_t operand : operands) take_up(i, operand, some);
        space_.asked.clear();
        for (const std::uint32_t lane : some) {
            if (plan_.nodes[i].complement) {
                const auto small = small_operands(i, lane);
                if (!small.empty()) set(i, lane, space_.sets.intersect(small));
                continue;
            }
            if (smallest(i, lane) > limit_) continue;
            space_.operands.clear();
            for (const std::uint32_t operand : operands)
                if (listed(operand, lane)) space_.operands.push_back(known(operand, lane));
            set(i, lane, space_.sets.intersect(space_.operands));
            if (space_.operands.size() == operands.size()) continue;
            for (const Entity x : known(i, lane).entities) space_.asked.push_back({x, lane});
        }
        if (space_.asked.empty()) return;
        space_.held.assign(space_.asked.size(), true);
        for (const std::uint32_t operand : operands)
            ask(operand, space_.asked, space_.held, 0,
                [&](std::size_t k) { return space_.held[k] && !listed(operand, space_.asked[k].lane); });
        each_lane(space_.asked, [&](std::uint32_t lane, std::size_t begin, std::size_t) {
            known(i, lane) = space_.sets.keep(known(i, lane), space_.held.data() + begin);
        });
    }

    // Lists a branch of an intersection that has waited, where that is cheaper than to ask it.
    void take_up(std::uint32_t i, std::uint32_t operand, std::span<const std::uint32_t> some) {
        const std::uint32_t inner = plan_.below_negation(operand);
        if (!plan_.awaited[inner]) return;
        const std::uint32_t from = plan_.nodes[inner].operands[0];
        space_.chosen.clear();
        for (const std::uint32_t lane : some) {
            if (listed(inner, lane) || !listed(from, lane)) continue;
            const std::uint64_t base = smallest(i, lane);
            if (base > limit_ || base > known(from, lane).entities.size()) space_.chosen.push_back(lane);
        }
        project(inner, space_.chosen);
        if (inner == operand) return;
        for (const std::uint32_t lane : space_.chosen) negate(operand, lane);
    }

    template <class Visit>
    static void each_lane(std::span<const Asked> asked, Visit visit) {
        for (std::size_t begin = 0, end; begin < asked.size(); begin = end) {
            for (end = begin + 1; end < asked.size() && asked[end].lane == asked[begin].lane;) ++end;
            visit(asked[begin].lane, begin, end);
        }
    }

    BlockSpace::Level& level(std::size_t depth) {
        while (space_.levels.size() <= depth) space_.levels.emplace_back();
        return space_.levels[depth];
    }

    // Asks a node for the entities that `whom` names, and writes down what it says of them.
    template <class Whom>
    void ask(std::uint32_t i, std::span<const Asked> asked, std::span<std::uint8_t> held, std::size_t depth,
             Whom whom) {
        BlockSpace::Level& here = level(depth);
        here.next.clear();
        here.next_origins.clear();
        for (std::uint32_t k = 0; k < asked.size(); ++k) {
            if (!whom(k)) continue;
            here.next.push_back(asked[k]);
            here.next_origins.push_back(k);
        }
        here.next_held.resize(here.next.size());
        test(i, here.next, here.next_held, depth + 1);
        for (std::size_t k = 0; k < here.next.size(); ++k) held[here.next_origins[k]] = here.next_held[k];
    }

    // Whether entities are in the set of a node: those of lanes that list it are looked for there, the others are put
    // to its operands.
    void test(std::uint32_t i, std::span<const Asked> asked, std::span<std::uint8_t> held, std::size_t depth) {
        BlockSpace::Level& here = level(depth);
        here.asked.clear();
        here.origins.clear();
        each_lane(asked, [&](std::uint32_t lane, std::size_t begin, std::size_t end) {
            if (listed(i, lane)) {
                const MemberTest member(known(i, lane), end - begin, space_.sets);
                member.test(held.subspan(begin, end - begin), [&](std::size_t k) { return asked[begin + k].entity; });
                return;
            }
            for (std::size_t k = begin; k < end; ++k) {
                here.asked.push_back(asked[k]);
                here.origins.push_back(static_cast<std::uint32_t>(k));
            }
        });
        if (here.asked.empty()) return;
        const QueryNode& node = plan_.nodes[i];
        const bool all = node.operation == Operation::kIntersect;
        here.held.assign(here.asked.size(), all);
        if (node.operation == Operation::kProject)
            test_sources(node, here, depth);
        else  // the operand of a negation is asked for all, as the first of a union is
            for (const std::uint32_t operand : node.operands)
                ask(operand, here.asked, here.held, depth, [&](std::size_t k) { return here.held[k] == all; });
        const bool flipped = node.operation == Operation::kNegate;
        for (std::size_t k = 0; k < here.asked.size(); ++k) held[here.origins[k]] = here.held[k] != flipped;
    }

    // An entity is in a projection when one of those that the inverse relation leads to is in the operand.
    void test_sources(const QueryNode& node, BlockSpace::Level& here, std::size_t depth) {
        here.look_ups.clear();
        for (const auto& [entity, lane] : here.asked)
            here.look_ups.push_back({entity, static_cast<std::uint32_t>(id(lane, node.column) ^ 1)});
        find_runs(here.look_ups, here.runs);
        here.next.clear();
        here.links.clear();
        each_lane(here.asked, [&](std::uint32_t lane, std::size_t begin, std::size_t end) {
            const auto runs = std::span(here.runs).subspan(begin, end - begin);
            if (listed(node.operands[0], lane))
                meet(known(node.operands[0], lane), runs, here.held.data() + begin);
            else
                link(runs, static_cast<std::uint32_t>(begin), lane, here);
        });
        if (here.next.empty()) return;
        here.next_held.resize(here.next.size());
        test(node.operands[0], here.next, here.next_held, depth + 1);
        for (const auto& [source, origin, place] : here.links) here.held[origin] |= here.next_held[place];
    }

    // Puts the sources of the runs of a lane to the operand, each once, however many runs lead to it: what is asked of
    // a lane is never more than the graph has entities.
    static void link(std::span<const std::span<const Entity>> runs, std::uint32_t first, std::uint32_t lane,
                     BlockSpace::Level& here) {
        const std::size_t begin = here.links.size();
        for (std::uint32_t k = 0; k < runs.size(); ++k)
            for (const Entity source : runs[k]) here.links.push_back({source, first + k, 0});
        const auto links = std::span(here.links).subspan(begin);
        std::ranges::sort(links, {}, &BlockSpace::Link::source);
        for (std::size_t k = 0; k < links.size(); ++k) {
            if (k == 0 || links[k].source != links[k - 1].source) here.next.push_back({links[k].source, lane});
            links[k].place = static_cast<std::uint32_t>(here.next.size() - 1);
        }
    }

    // Says for each run whether it has an entity in common with a set, from the shorter side.
    void meet(const EntitySet& set, std::span<const std::span<const Entity>> runs, std::uint8_t* held) {
        std::size_t tests = 0;  // about: the first source that is found ends the tests of its run
        for (const auto run : runs) tests += std::min(run.size(), kTestsOfRun);
        if (tests == 0) return;
        const MemberTest member(set, tests, space_.sets);
        for (std::size_t k = 0; k < runs.size(); ++k) {
            const auto run = runs[k];
            if (run.size() > kSearchFrom * set.entities.size()) {
                const RunSearch in_run(set_of(graph_, run));
                held[k] = std::any_of(set.entities.begin(), set.entities.end(), in_run);
            } else {
                held[k] = std::any_of(run.begin(), run.end(), member);
            }
        }
    }

    const IndexView<Rel, Offset>& graph_;
    const BlockPlan& plan_;
    std::uint64_t limit_;
    std::size_t lanes_;
    const std::int64_t* rows_;
    BlockSpace& space_;
};

}  // namespace graphkit
