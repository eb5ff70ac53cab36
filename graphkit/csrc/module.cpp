// The extension graphkit._native: bindings only. Arguments are checked by the Python callers; what is checked here is
// what would otherwise read out of bounds.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include "bindings.hpp"
#include "engine_module.hpp"
#include "graph/edge_sorter.hpp"
#include "graph/index.hpp"
#include "graph/shortcuts.hpp"
#include "machine/random_lines.hpp"
#include "machine/resident.hpp"
#include "node_module.hpp"
#include "queries/execution.hpp"
#include "queries/program.hpp"
#include "samplers/queries.hpp"
#include "samplers/stream.hpp"

namespace nb = nanobind;

namespace graphkit {
namespace {

using AnyArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
template <class T, int... Shape>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu, nb::shape<Shape...>>;
using Ids = Array<std::int64_t, -1>;
using Code = Array<std::int64_t, -1, 2>;  // (operation, operand) of the instructions of a program

template <class T>
std::span<const T> span_of(const AnyArray& array, const char* name) {
    if (array.dtype() != nb::dtype<T>() || array.ndim() != 1)
        throw std::invalid_argument(std::string(name) + " has the wrong dtype or number of dimensions");
    return {static_cast<const T*>(array.data()), array.size()};
}

// The index as Python holds it: views over four numpy arrays, which it keeps alive.
class Index {
  public:
    using Views = std::variant<IndexView<std::uint16_t, std::uint32_t>, IndexView<std::uint32_t, std::uint32_t>,
                               IndexView<std::uint16_t, std::uint64_t>, IndexView<std::uint32_t, std::uint64_t>>;

    Index(AnyArray entity_runs, AnyArray run_relations, AnyArray run_starts, AnyArray targets)
        : arrays_{entity_runs, run_relations, run_starts, targets}, views_(make_views()) {}

    template <class Visitor>
    decltype(auto) visit(Visitor&& visitor) const {
        return std::visit(std::forward<Visitor>(visitor), views_);
    }

    std::uint64_t num_entities() const {
        return visit([](const auto& g) { return g.num_entities(); });
    }
    std::uint64_t num_edges() const {
        return visit([](const auto& g) { return g.num_edges(); });
    }

    // Before any other thread looks something up.
    void add_shortcuts() {
        if (shortcuts_) return;
        std::visit(
            [&](auto& g) {
                shortcuts_ = std::make_unique<Shortcuts>(g);
                shortcuts_->attach(g);
            },
            views_);
    }
    bool has_shortcuts() const { return shortcuts_ != nullptr; }

  private:
    Views make_views() const {
        const bool narrow_relations = arrays_[1].dtype() == nb::dtype<std::uint16_t>();
        const bool narrow_offsets = arrays_[0].dtype() == nb::dtype<std::uint32_t>();
        if (narrow_offsets)
            return narrow_relations ? Views(view<std::uint16_t, std::uint32_t>())
                                    : view<std::uint32_t, std::uint32_t>();
        return narrow_relations ? Views(view<std::uint16_t, std::uint64_t>()) : view<std::uint32_t, std::uint64_t>();
    }

    template <class Rel, class Offset>
    IndexView<Rel, Offset> view() const {
        return {span_of<Offset>(arrays_[0], "entity_runs"), span_of<Rel>(arrays_[1], "run_relations"),
                span_of<Offset>(arrays_[2], "run_starts"), span_of<Entity>(arrays_[3], "targets")};
    }

    AnyArray arrays_[4];
    Views views_;
    std::unique_ptr<Shortcuts> shortcuts_;
};

void require_below(const Ids& ids, std::uint64_t size, const char* what) {
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (static_cast<std::uint64_t>(ids.data()[i]) >= size)
            throw std::out_of_range(std::string(what) + " " + std::to_string(ids.data()[i]) + " at position " +
                                    std::to_string(i) + " is outside 0 to " + std::to_string(size - 1));
}

void require_same_size(const Ids& first, const Ids& second) {
    if (first.size() != second.size()) throw std::invalid_argument("the id arrays have different lengths");
}

template <class Rel, class Offset>
nb::tuple build_arrays(Triples triples, std::uint64_t num_entities) {
    IndexArrays<Rel, Offset> built;
    {
        const nb::gil_scoped_release release;
        built = build_index<Rel, Offset>(triples, num_entities);
    }
    return nb::make_tuple(own(std::move(built.entity_runs)), own(std::move(built.run_relations)),
                          own(std::move(built.run_starts)), own(std::move(built.targets)), built.duplicates);
}

using TripleArray = Array<std::int64_t, -1, 3>;

Triples checked(const TripleArray& rows, std::uint64_t num_entities, std::uint64_t num_relations) {
    const Triples triples{rows.data(), rows.shape(0)};
    const std::uint64_t bad = first_bad_row(triples, num_entities, num_relations);
    if (bad < triples.rows) throw std::out_of_range("row " + std::to_string(bad) + " names an id out of range");
    return triples;
}

nb::tuple build(TripleArray rows, std::uint64_t num_entities, std::uint64_t num_relations, bool wide_relations,
                bool wide_offsets) {
    const Triples triples = checked(rows, num_entities, num_relations);
    if (wide_offsets)
        return wide_relations ? build_arrays<std::uint32_t, std::uint64_t>(triples, num_entities)
                              : build_arrays<std::uint16_t, std::uint64_t>(triples, num_entities);
    return wide_relations ? build_arrays<std::uint32_t, std::uint32_t>(triples, num_entities)
                          : build_arrays<std::uint16_t, std::uint32_t>(triples, num_entities);
}

// The external sort of a store that is built without its edges in memory.
class Sorter {
  public:
    Sorter(int file, std::uint64_t num_entities, std::uint64_t num_relations, std::uint64_t piece_edges)
        : num_entities_(num_entities), num_relations_(num_relations) {
        if (num_entities == 0 || num_entities >> 32 || num_relations == 0 || num_relations >> 31 || piece_edges == 0 ||
            piece_edges >> 32)
            throw std::invalid_argument("num_entities, num_relations or piece_edges is out of range");
        sorter_ = make_edge_sorter(file, num_entities, num_relations, piece_edges);
    }

    void add(TripleArray rows) {
        require_open();
        const nb::gil_scoped_release release;
        sorter_->add(checked(rows, num_entities_, num_relations_));
    }

    std::size_t finish() {
        require_open();
        finished_ = true;
        const nb::gil_scoped_release release;
        return num_pieces_ = sorter_->finish();
    }

    // (run_heads, run_relations, run_starts, targets, dropped)
    nb::tuple piece(std::size_t number) const {
        if (number >= num_pieces_) throw std::out_of_range("there is no such piece");
        SortedEdges edges;
        {
            const nb::gil_scoped_release release;
            edges = sorter_->piece(number);
        }
        return nb::make_tuple(own(std::move(edges.run_heads)), own(std::move(edges.run_relations)),
                              own(std::move(edges.run_starts)), own(std::move(edges.targets)), edges.dropped);
    }

  private:
    void require_open() const {
        if (finished_) throw std::invalid_argument("the sorter has finished");
    }

    std::uint64_t num_entities_, num_relations_;
    std::unique_ptr<EdgeSorter> sorter_;
    std::size_t num_pieces_ = 0;
    bool finished_ = false;
};

nb::tuple neighbors(const Index& index, Ids heads, Ids relations) {
    require_same_size(heads, relations);
    require_below(heads, index.num_entities(), "entity");
    std::vector<std::int64_t> values, offsets{0};
    {
        const nb::gil_scoped_release release;
        index.visit([&](const auto& g) {
            for (std::size_t i = 0; i < heads.size(); ++i) {
                const auto run = g.neighbors(heads.data()[i], relations.data()[i]);
                values.insert(values.end(), run.begin(), run.end());
                offsets.push_back(static_cast<std::int64_t>(values.size()));
            }
        });
    }
    return nb::make_tuple(own(std::move(values)), own(std::move(offsets)));
}

nb::object has_edge(const Index& index, Ids heads, Ids relations, Ids tails) {
    require_same_size(heads, relations);
    require_same_size(heads, tails);
    require_below(heads, index.num_entities(), "entity");
    auto found = std::make_shared<std::unique_ptr<bool[]>>(new bool[heads.size()]);
    {
        const nb::gil_scoped_release release;
        index.visit([&](const auto& g) {
            for (std::size_t i = 0; i < heads.size(); ++i)
                (*found)[i] = g.has_edge(heads.data()[i], relations.data()[i], tails.data()[i]);
        });
    }
    return borrow(found->get(), {heads.size()}, found);
}

nb::object degree(const Index& index, Ids entities) {
    require_below(entities, index.num_entities(), "entity");
    std::vector<std::int64_t> degrees(entities.size());
    index.visit([&](const auto& g) {
        for (std::size_t i = 0; i < degrees.size(); ++i)
            degrees[i] = static_cast<std::int64_t>(g.degree(entities.data()[i]));
    });
    return own(std::move(degrees));
}

void check(const Index& index, std::uint64_t num_directed_relations) {
    const nb::gil_scoped_release release;
    index.visit([&](const auto& g) { check_index(g, num_directed_relations); });
}

nb::object copy_resident(AnyArray array) {
    const std::size_t bytes = array.nbytes();
    auto pages = std::make_shared<ResidentPages>(bytes);
    {
        const nb::gil_scoped_release release;
        std::memcpy(pages->data(), array.data(), bytes);
    }
    return borrow(static_cast<const std::uint8_t*>(pages->data()), {bytes}, pages);
}

// (independent lines a second, seconds of a dependent load)
std::pair<double, double> random_lines(std::uint64_t size, unsigned threads, std::uint64_t loads, unsigned ahead) {
    if (threads == 0 || loads == 0) throw std::invalid_argument("threads and loads must be positive");
    const nb::gil_scoped_release release;
    const RandomLines measured = measure_random_lines(size, threads, loads, ahead);
    return {measured.independent_per_second, measured.dependent_seconds};
}

// Answers of queries of one structure: (values [A], offsets [B + 1]).
nb::tuple execute_queries(const Index& index, Code code, Array<std::int64_t, -1, -1> rows, unsigned threads) {
    if (threads == 0) throw std::invalid_argument("threads must be positive");
    const Program program({code.data(), code.size()}, rows.shape(1));
    AnswerLists lists;
    {
        const nb::gil_scoped_release release;
        const QueryRows queries{{rows.data(), rows.size()}, rows.shape(0)};
        index.visit([&](const auto& g) { lists = execute(g, program, queries, threads); });
    }
    return nb::make_tuple(own(std::move(lists.values)), own(std::move(lists.offsets)));
}

// Batches of queries, made ahead by native threads.
class QueryStream {
  public:
    QueryStream(nb::object index, const std::vector<Program>& programs, const QueryOptions& options, unsigned threads,
                unsigned ahead, std::uint64_t first)
        : index_(std::move(index)),
          sampling_(
              nb::cast<const Index&>(index_).visit([&](const auto& g) { return make_sampling(g, programs, options); })),
          stream_(
              [this, &index = nb::cast<const Index&>(index_)](std::uint64_t number, QueryBatch& out,
                                                              const std::stop_token& stop) {
                  const auto space = spaces_->take(index.num_entities());
                  index.visit([&](const auto& g) { sampling_.fill(g, number, stop, *space, out); });
              },
              threads, ahead, first) {}

    // (number, sizes [S], rows, positives [B], counts [B], counted [B], log_probs [B], candidates or None, mask [B, K]
    // or None, log_weights as candidates or None, outcomes [S, kOutcomes], failed segment or -1)
    nb::tuple next() {
        const auto batch = next_batch(stream_);
        const QueryOptions& options = sampling_.options();
        const std::size_t size = options.batch_size, width = options.negatives;
        nb::object candidates = nb::none(), mask = nb::none(), log_weights = nb::none();
        if (options.mode != Negatives::kNone) {
            const auto placed = [&](auto* data) {
                return options.mode == Negatives::kOwn ? borrow(data, {size, width}, batch)
                                                       : borrow(data, {options.chunks * width}, batch);
            };
            candidates = placed(batch->candidates.data());
            if (!batch->log_weights.empty()) log_weights = placed(batch->log_weights.data());
            mask = borrow(reinterpret_cast<const bool*>(batch->mask.data()), {size, width}, batch);
        }
        return nb::make_tuple(batch->number, borrow(batch->sizes.data(), {batch->sizes.size()}, batch),
                              borrow(batch->rows.data(), {batch->rows.size()}, batch),
                              borrow(batch->positives.data(), {size}, batch),
                              borrow(batch->counts.data(), {size}, batch),
                              borrow(reinterpret_cast<const bool*>(batch->counted.data()), {size}, batch),
                              borrow(batch->log_probs.data(), {size}, batch), candidates, mask, log_weights,
                              borrow(batch->outcomes.data(), {batch->sizes.size(), kOutcomes}, batch), batch->failed);
    }

  private:
    template <class Rel, class Offset>
    static QuerySampling make_sampling(const IndexView<Rel, Offset>& graph, const std::vector<Program>& programs,
                                       const QueryOptions& options) {
        const nb::gil_scoped_release release;  // tables of a large graph take seconds
        return QuerySampling(graph, programs, options);
    }

    nb::object index_;  // kept alive for the threads of the stream, which end first
    QuerySampling sampling_;
    std::shared_ptr<BufferPool<SamplingSpace>> spaces_ = std::make_shared<BufferPool<SamplingSpace>>();
    OrderedStream<QueryBatch> stream_;
};

// `structures` are pairs of a program's code [n, 2] and the width of its rows.
QueryStream* make_query_stream(nb::object index, const std::vector<std::pair<Code, std::uint64_t>>& structures,
                               std::uint64_t batch_size, std::uint64_t negatives, std::uint64_t chunks, int mode,
                               int corruption, int answers, bool backtracking, std::uint64_t expansion_limit,
                               std::uint64_t min_answers, std::uint64_t max_answers, std::uint64_t attempts,
                               std::uint64_t seed, unsigned threads, unsigned ahead, std::uint64_t first) {
    if (nb::cast<const Index&>(index).num_edges() == 0)
        throw std::invalid_argument("the graph has no edges to draw queries from");
    if (structures.empty() || batch_size == 0 || attempts == 0 || threads == 0 || ahead == 0)
        throw std::invalid_argument("structures, batch_size, attempts, threads and ahead must be positive");
    if (mode < 0 || mode > 2 || answers < 0 || answers > 1)
        throw std::invalid_argument("mode must be 0, 1 or 2, and answers 0 or 1");
    if (corruption < 0 || corruption > 2 || (corruption == 2 && mode == 2))
        throw std::invalid_argument("corruption must be 0, 1 or 2, and not 2 with mode 2");
    if (chunks == 0 || chunks > batch_size) throw std::invalid_argument("chunks must be from 1 to batch_size");
    std::vector<Program> programs;
    for (const auto& [code, width] : structures) {
        programs.emplace_back(std::span(code.data(), code.size()), width);
        if (programs.back().complement()) throw std::invalid_argument("an unbounded query cannot be drawn");
    }
    const QueryOptions options{batch_size,
                               negatives,
                               chunks,
                               static_cast<Negatives>(mode),
                               static_cast<Corruption>(corruption),
                               static_cast<AnswerDraw>(answers),
                               backtracking,
                               expansion_limit,
                               min_answers,
                               max_answers,
                               attempts,
                               seed};
    return new QueryStream(std::move(index), programs, options, threads, ahead, first);
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() =
        "Native core of graphkit: graph index, execution of queries, clusters of nodes, samplers, and kernels of the "
        "engine. Use graphkit.graph, graphkit.queries, graphkit.nodes, graphkit.samplers and graphkit.engine.";
    bind_engine(m);
    bind_nodes(m);
    m.def("build_index", &build, nb::arg("triples"), nb::arg("num_entities"), nb::arg("num_relations"),
          nb::arg("wide_relations"), nb::arg("wide_offsets"));
    nb::register_exception_translator([](const std::exception_ptr& error, void*) {
        try {
            std::rethrow_exception(error);
        } catch (const std::system_error& failure) {
            errno = failure.code().value();
            PyErr_SetFromErrno(PyExc_OSError);
        }
    });
    nb::class_<Sorter>(m, "EdgeSorter")
        .def(nb::init<int, std::uint64_t, std::uint64_t, std::uint64_t>(), nb::arg("file"), nb::arg("num_entities"),
             nb::arg("num_relations"), nb::arg("piece_edges"))
        .def("add", &Sorter::add, nb::arg("triples"))
        .def("finish", &Sorter::finish)
        .def("piece", &Sorter::piece, nb::arg("number"));

    m.def("copy_resident", &copy_resident, nb::arg("array"));

    nb::class_<Index>(m, "Index")
        .def(nb::init<AnyArray, AnyArray, AnyArray, AnyArray>(), nb::arg("entity_runs"), nb::arg("run_relations"),
             nb::arg("run_starts"), nb::arg("targets"))
        .def_prop_ro("num_entities", &Index::num_entities)
        .def_prop_ro("num_edges", &Index::num_edges)
        .def("neighbors", &neighbors, nb::arg("heads"), nb::arg("relations"))
        .def("has_edge", &has_edge, nb::arg("heads"), nb::arg("relations"), nb::arg("tails"))
        .def("degree", &degree, nb::arg("entities"))
        .def("check", &check, nb::arg("num_directed_relations"))
        .def_prop_ro("has_shortcuts", &Index::has_shortcuts)
        .def("add_shortcuts", &Index::add_shortcuts, nb::call_guard<nb::gil_scoped_release>());

    m.def("random_lines", &random_lines, nb::arg("size"), nb::arg("threads"), nb::arg("loads"), nb::arg("ahead"));

    m.attr("MAX_QUERY_DEPTH") = kMaxQueryDepth;
    m.def("execute", &execute_queries, nb::arg("index"), nb::arg("code"), nb::arg("rows"), nb::arg("threads"));

    nb::class_<QueryStream>(m, "QueryStream")
        .def(nb::new_(&make_query_stream), nb::arg("index"), nb::arg("structures"), nb::arg("batch_size"),
             nb::arg("negatives"), nb::arg("chunks"), nb::arg("mode"), nb::arg("corruption"), nb::arg("answers"),
             nb::arg("backtracking"), nb::arg("expansion_limit"), nb::arg("min_answers"), nb::arg("max_answers"),
             nb::arg("attempts"), nb::arg("seed"), nb::arg("threads"), nb::arg("ahead"), nb::arg("first"))
        .def("next", &QueryStream::next);
}

}  // namespace graphkit
