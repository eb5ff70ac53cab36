#include "queries/execution.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "queries/executor.hpp"

namespace graphkit {
namespace {

// Queries that a thread takes at a time: enough to hide the hand-over, few enough to share uneven ones out.
constexpr std::uint64_t kBlock = 16;

// The answers of one row are added to `out`; those of an unbounded query are written out.
void append(const EntitySet& answers, std::uint64_t num_entities, std::vector<Entity>& out) {
    const auto entities = answers.entities;
    if (!answers.complement) {
        out.insert(out.end(), entities.begin(), entities.end());
        return;
    }
    auto next = entities.begin();
    for (std::uint64_t x = 0; x < num_entities; ++x) {
        if (next != entities.end() && *next == x)
            ++next;
        else
            out.push_back(static_cast<Entity>(x));
    }
}

// What one thread made of one block of rows.
struct Block {
    std::vector<Entity> values;
    std::vector<std::size_t> ends;
};

void require_anchors(const Program& program, QueryRows rows, std::uint64_t num_entities) {
    for (const Instruction& instruction : program.instructions()) {
        if (instruction.operation != Operation::kAnchor) continue;
        for (std::uint64_t i = 0; i < rows.count; ++i) {
            const std::int64_t id = rows.ids[i * program.width() + instruction.operand];
            if (static_cast<std::uint64_t>(id) >= num_entities)
                throw std::out_of_range("query " + std::to_string(i) + " has the anchor " + std::to_string(id) +
                                        ", outside 0 to " + std::to_string(num_entities - 1));
        }
    }
}

AnswerLists concatenate(std::vector<Block>& blocks) {
    AnswerLists lists;
    std::size_t total = 0, count = 0;
    for (const Block& block : blocks) {
        total += block.values.size();
        count += block.ends.size();
    }
    lists.values.reserve(total);
    lists.offsets.reserve(count + 1);
    lists.offsets.push_back(0);
    for (Block& block : blocks) {
        const std::size_t start = lists.values.size();
        lists.values.insert(lists.values.end(), block.values.begin(), block.values.end());
        for (const std::size_t end : block.ends) lists.offsets.push_back(static_cast<std::int64_t>(start + end));
        block = {};  // the two copies of the answers never stand whole beside each other
    }
    return lists;
}

}  // namespace

template <class Rel, class Offset>
AnswerLists execute(const IndexView<Rel, Offset>& graph, const Program& program, QueryRows rows, unsigned threads) {
    require_anchors(program, rows, graph.num_entities());
    std::vector<Block> blocks((rows.count + kBlock - 1) / kBlock);
    std::atomic<std::size_t> next = 0;
    std::exception_ptr failure;
    std::mutex failing;
    const auto work = [&] {
        try {
            ExecutionSpace space(graph.num_entities());
            for (std::size_t b; (b = next.fetch_add(1)) < blocks.size();) {
                const std::uint64_t last = std::min<std::uint64_t>(rows.count, (b + 1) * kBlock);
                for (std::uint64_t i = b * kBlock; i < last; ++i) {
                    const EntitySet answers =
                        space.sets.sort(answers_of(graph, program, rows.ids.data() + i * program.width(), space));
                    append(answers, graph.num_entities(), blocks[b].values);
                    blocks[b].ends.push_back(blocks[b].values.size());
                }
            }
        } catch (...) {
            const std::lock_guard lock(failing);
            failure = std::current_exception();
            next = blocks.size();  // the others stop at their next block
        }
    };
    {
        std::vector<std::jthread> helpers;
        const std::size_t wanted = std::min<std::size_t>(threads, blocks.size());
        for (std::size_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
        work();
    }
    if (failure) std::rethrow_exception(failure);
    return concatenate(blocks);
}

template AnswerLists execute(const IndexView<std::uint16_t, std::uint32_t>&, const Program&, QueryRows, unsigned);
template AnswerLists execute(const IndexView<std::uint32_t, std::uint32_t>&, const Program&, QueryRows, unsigned);
template AnswerLists execute(const IndexView<std::uint16_t, std::uint64_t>&, const Program&, QueryRows, unsigned);
template AnswerLists execute(const IndexView<std::uint32_t, std::uint64_t>&, const Program&, QueryRows, unsigned);

}  // namespace graphkit
