// What an index that stays in memory has beside its arrays, so that most look-ups which find nothing read one cache
// line.
//
// On a graph of Freebase's size nearly each line that is read misses the TLB too. Heads say which relations an entity
// may have beside where its runs begin, sketches which entities may be in a long run: 8 bytes an entity (16 where
// offsets have 64 bits), and 2 an edge and direction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <thread>

#include "graph/index.hpp"
#include "machine/resident.hpp"
#include "machine/threads.hpp"

namespace graphkit {

class Shortcuts {
  public:
    // Reads the whole index.
    template <class Rel, class Offset>
    explicit Shortcuts(const IndexView<Rel, Offset>& graph)
        : num_heads_(graph.entity_runs.size()),
          num_words_(graph.num_edges() / RunSketch::kMembersOfWord + 1),
          heads_(num_heads_ * sizeof(EntityHead<Offset>)),
          words_(num_words_ * sizeof(std::uint64_t)) {
        const std::uint64_t size = graph.num_entities();
        run_tasks((size + kTogether - 1) / kTogether, std::max(std::thread::hardware_concurrency(), 1U),
                  [&](std::size_t task) {
                      const std::uint64_t first = task * kTogether, last = std::min(first + kTogether, size);
                      fill_heads(graph, first, last);
                      fill_sketches(graph, graph.entity_runs[first], graph.entity_runs[last]);
                  });
        heads<Offset>()[size].first_run = graph.entity_runs[size];
    }

    // Lets look-ups in the index take them, as long as they last.
    template <class Rel, class Offset>
    void attach(IndexView<Rel, Offset>& graph) const {
        graph.heads = heads<Offset>();
        graph.sketches = words();
    }

  private:
    static constexpr std::uint64_t kTogether = 1 << 16;  // entities of a task

    template <class Offset>
    std::span<EntityHead<Offset>> heads() const {
        return {static_cast<EntityHead<Offset>*>(heads_.data()), num_heads_};
    }
    std::span<std::uint64_t> words() const { return {static_cast<std::uint64_t*>(words_.data()), num_words_}; }

    template <class Rel, class Offset>
    void fill_heads(const IndexView<Rel, Offset>& graph, std::uint64_t first, std::uint64_t last) const {
        for (std::uint64_t x = first; x < last; ++x) {
            EntityHead<Offset>& head = heads<Offset>()[x];
            head.first_run = graph.entity_runs[x];
            for (std::uint64_t run = graph.entity_runs[x]; run < graph.entity_runs[x + 1]; ++run)
                head.relations |= EntityHead<Offset>::bit_of(graph.run_relations[run]);
        }
    }

    template <class Rel, class Offset>
    void fill_sketches(const IndexView<Rel, Offset>& graph, std::uint64_t first, std::uint64_t last) const {
        for (std::uint64_t i = first; i < last; ++i) {
            const auto run = graph.run(i);
            if (run.size() < RunSketch::kFrom) continue;
            const auto sketch = RunSketch::words_of(words(), graph.run_starts[i], run.size());
            for (const Entity x : run) RunSketch::insert(sketch, x);
        }
    }

    std::uint64_t num_heads_, num_words_;
    ResidentPages heads_, words_;
};

}  // namespace graphkit
