"""What a sampler refuses: unsuitable options at once, and structures that cannot be drawn when a batch is asked for."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from batches import MODES, SPELLINGS, assert_equals_twin, content, few_attempts, take, take_if_drawable
from strategies import random_graph

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.queries import STRUCTURES
from graphkit.samplers import QuerySampler, SamplerOptions, query_sampler, reference
from graphkit.samplers.query_sampler import CannotDraw

ATTEMPTS = 200


@pytest.fixture(autouse=True)
def _gives_up_early() -> Iterator[None]:
    with few_attempts(ATTEMPTS):
        yield


def refusal(sampler: QuerySampler) -> str:
    with pytest.raises(CannotDraw) as error:
        next(sampler)
    return str(error.value)


def one_structure(structures: str, **others: object) -> SamplerOptions:
    return SamplerOptions(structures=structures, **({"batch_size": 4, "mode": "none", "negatives": 0} | others))


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mode": "some"}, "mode is 'some', and one of none, own, shared is needed"),
        ({"answers": "some"}, "answers is 'some', and one of uniform, degree is needed"),
        ({"corruption": "some"}, "corruption is 'some', and one of uniform, degree, typed is needed"),
        (
            {"corruption": "degree", "mode": "none", "negatives": 0},
            "corruption is degree with mode none, which draws no negatives; give uniform, or mode own or shared",
        ),
        (
            {"corruption": "typed", "mode": "shared"},
            "corruption is typed with mode shared, and candidates of all queries have no relation to be typed by; give "
            "mode own, or corruption degree or uniform",
        ),
        ({"chunks": 3}, "chunks is 3 with mode own; give 1, or mode shared"),
        ({"chunks": 0, "mode": "shared"}, "chunks is 0, and a number from 1 to batch_size, 1024, is needed"),
        (
            {"chunks": 9, "mode": "shared", "batch_size": 8},
            "chunks is 9, and a number from 1 to batch_size, 8, is needed",
        ),
        ({"chunks": 2.0, "mode": "shared"}, "chunks is 2.0, and a whole number is needed"),
        ({"batch_size": 0}, "batch_size is 0, and at least 1 is needed"),
        ({"batch_size": 2.5}, "batch_size is 2.5, and a whole number is needed"),
        ({"batch_size": True}, "batch_size is True, and a whole number is needed"),
        ({"negatives": 2.5}, "negatives is 2.5, and a whole number is needed"),
        (
            {"batch_size": 2**20, "negatives": 2**12, "mode": "shared"},
            "flags of 4096 shared negatives for each of 1048576 queries are 4294967296, and a batch has at most "
            "2147483648; give fewer negatives or a smaller batch_size",
        ),
        ({"batch_size": 2**64}, f"batch_size is {2**64}, and at most 2**31 - 1 is allowed; give fewer"),
        (
            {"batch_size": 2**20, "negatives": 2**12},
            "4096 negatives for each of 1048576 queries are 4294967296, and a batch has at most 2147483648; give fewer "
            "negatives or a smaller batch_size",
        ),
        ({"negatives": 0}, "negatives is 0 with mode own, and at least 1 is needed"),
        ({"mode": "shared", "negatives": -1}, "negatives is -1 with mode shared, and at least 1 is needed"),
        ({"mode": "none"}, "negatives is 128 with mode none; give 0, or mode own or shared"),
        ({"expansion_limit": 1.5}, "expansion_limit is 1.5, and a whole number is needed"),
        ({"max_answers": "9"}, "max_answers is '9', and a whole number is needed"),
        ({"min_answers": None}, "min_answers is None, and a whole number is needed"),
        ({"expansion_limit": -1}, "expansion_limit is -1, and a number from 0 to 2**63 - 1 or null is needed"),
        (
            {"min_answers": 3, "max_answers": 2},
            "min_answers is 3 and max_answers 2, and numbers from 1 to 2**63 - 1 in this order are needed, "
            "or null for no upper bound",
        ),
        (
            {"min_answers": 0},
            "min_answers is 0 and max_answers None, and numbers from 1 to 2**63 - 1 in this order are needed, "
            "or null for no upper bound",
        ),
        ({"seed": -1}, "seed is -1, and a number from 0 to 2**63 - 1 is needed"),
        ({"seed": 2**63}, f"seed is {2**63}, and a number from 0 to 2**63 - 1 is needed"),
        (
            {"structures": "9p"},
            f"there is no query structure '9p'; structures: {' '.join(STRUCTURES)}, or nested tuples such as "
            "('e', ('r', 'r'))",
        ),
        ({"structures": " "}, f"no query structure is given; name some of: {' '.join(STRUCTURES)}"),
        (
            {"structures": "1p ('e', ('r', 'n'))"},
            "structures names ('e', ('r', 'n')), whose queries are unbounded: it has nothing but negated branches; "
            "name a structure with a branch that is not negated, such as 2in",
        ),
        (
            {"structures": "2p e"},
            "structures names e, a query without relations, of which there is nothing to learn; name structures such "
            "as 1p",
        ),
    ],
)
def test_an_option_out_of_range_is_named(options: dict[str, object], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        SamplerOptions(**options)
    assert str(error.value) == expected


@pytest.mark.parametrize("bad", [{"threads": 0}, {"ahead": 0}])
def test_threads_and_ahead_are_positive(six_nodes: KnowledgeGraph, bad: dict[str, int]) -> None:
    stated = {"threads": 1, "ahead": 4} | bad
    with pytest.raises(GraphkitError) as error:
        QuerySampler(six_nodes, **bad)
    assert str(error.value) == (
        f"the sampler has threads={stated['threads']} and ahead={stated['ahead']}, and at least 1 of each is needed"
    )


@pytest.mark.parametrize("mode", ["own", "shared"])
def test_more_negatives_than_entities_are_refused(six_nodes: KnowledgeGraph, mode: str) -> None:
    with pytest.raises(GraphkitError) as error:
        QuerySampler(six_nodes, SamplerOptions(mode=mode, negatives=7))
    assert str(error.value) == (
        "negatives is 7, and the graph has 6 entities, so that no query has as many non-answers; give fewer, or "
        "mode=none with a loss over all entities"
    )


# ---------------------------------------------------------------------------------------- structures that nothing gives

#: Two entities and one edge; two entities, each with an edge to both.
ONE_EDGE = [(0, 0, 1)]
COMPLETE = [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)]
NEGATED_UNION = "(('e', ('r',)), ((('e', ('r',)), ('e', ('r',)), ('u',)), ('n',)))"


@pytest.mark.parametrize(
    ("structure", "triples", "backtracking", "met"),
    [
        ("2i", ONE_EDGE, True, "two equal branches"),
        ("ip", ONE_EDGE, True, "two equal branches"),
        ("3i", COMPLETE[1:3], True, "two equal branches"),
        ("2p", ONE_EDGE, False, "a relation followed by its inverse"),
        ("pni", ONE_EDGE, False, "a relation followed by its inverse"),
        ("2in", COMPLETE, True, "an answer that a negated branch refutes"),
        ("2p", COMPLETE, True, "all entities as answers"),
        ("2p", [(0, 0, 0)], True, "all entities as answers"),
    ],
)
def test_a_structure_that_cannot_be_drawn_is_named_with_the_reason(
    structure: str, triples: list[tuple[int, int, int]], backtracking: bool, met: str
) -> None:
    graph = KnowledgeGraph.from_triples(triples)
    # Three queries of the structure: together they are given up after 200 walks, rounded up.
    sampler = QuerySampler(graph, one_structure(f"1p {structure}", batch_size=6, backtracking=backtracking))
    assert refusal(sampler) == (
        f"queries of the structure {structure} cannot be drawn from this graph: 0 of 201 attempts gave one, and the "
        f"others met 201 times {met}; leave the structure out of structures"
    )


def test_several_reasons_are_counted_apart() -> None:
    # A third entity without edges: a walk either ends there at once, or draws the one edge of the other two twice.
    graph = KnowledgeGraph.from_triples(ONE_EDGE, num_entities=3, num_relations=1)
    sampler = QuerySampler(graph, one_structure("2i", batch_size=10))
    said = refusal(sampler)
    found = re.search(r"met ([\d,]+) times an entity without edges, ([\d,]+) times two equal branches;", said)
    assert found is not None
    dead_ends, repeated = (int(number.replace(",", "")) for number in found.groups())
    assert dead_ends + repeated == 200
    assert abs(dead_ends - 200 / 3) < 5 * (200 * 2 / 9) ** 0.5
    assert said == (
        f"queries of the structure 2i cannot be drawn from this graph: 0 of 200 attempts gave one, and the others "
        f"met {dead_ends:,} times an entity without edges, {repeated:,} times two equal branches; "
        "leave the structure out of structures"
    )
    assert sampler.statistics["2i"].attempts == 0  # of batches that were delivered


def test_answers_drawn_by_degree_never_begin_at_an_entity_without_edges() -> None:
    graph = KnowledgeGraph.from_triples(ONE_EDGE, num_entities=1000, num_relations=1)
    sampler = QuerySampler(graph, one_structure("2i", answers="degree"))
    assert "others met 200 times two equal branches;" in refusal(sampler)


def test_whoever_asks_again_hears_the_same_at_the_same_place() -> None:
    graph = KnowledgeGraph.from_triples(ONE_EDGE)
    sampler = QuerySampler(graph, one_structure("1p 2i", batch_size=1), threads=2, ahead=3)
    batch = next(sampler)  # holds a one-hop query alone
    assert_equals_twin(batch, reference.sample(graph, sampler.options, 0))
    said = refusal(sampler)
    assert sampler.position == 1
    assert refusal(sampler) == said
    assert sampler.position == 1
    assert sampler.state_dict() == {"position": 1}


def test_a_sampler_that_gave_up_can_be_set_back_to_what_it_delivered() -> None:
    sampler = QuerySampler(KnowledgeGraph.from_triples(ONE_EDGE), one_structure("1p 1p 2i", batch_size=1))
    expected = [content(batch) for batch in take(sampler, 2)]
    refusal(sampler)
    sampler.load_state_dict({"position": 0})
    assert [content(batch) for batch in take(sampler, 2)] == expected


def test_more_attempts_draw_what_is_rare() -> None:
    # One of 300 entities has two edges: a 2i query is met once in 600 attempts.
    graph = KnowledgeGraph.from_triples([(0, 0, 2), (1, 0, 2)], num_entities=300, num_relations=1)
    options = one_structure("2i", batch_size=1)
    assert "cannot be drawn" in refusal(QuerySampler(graph, options))
    with few_attempts(100_000):
        sampler = QuerySampler(graph, options)
        assert_equals_twin(next(sampler), reference.sample(graph, options, 0))
        assert sampler.statistics["2i"].attempts > ATTEMPTS


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_refused_on_a_graph_of_some_size(mode: str) -> None:
    """The laws of drawn batches hold of something: here, all are drawn."""
    options = one_structure(" ".join(SPELLINGS), mode=mode, batch_size=100, negatives=0 if mode == "none" else 5)
    batches = take_if_drawable(QuerySampler(random_graph(40, 3, 120), options), 3)
    assert [batch.size for batch in batches] == [100, 100, 100]
    assert all(len(batch.segments) == len(SPELLINGS) for batch in batches)


def test_giving_up_takes_no_time_to_speak_of_even_where_every_walk_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_sampler, "ATTEMPTS", 100_000)  # what users get
    everything = [(x, 0, y) for x in range(60) for y in range(60)]
    sampler = QuerySampler(
        KnowledgeGraph.from_triples(everything), one_structure("2p", batch_size=512, expansion_limit=None), threads=2
    )
    began = time.process_time()
    assert "100,096 times all entities as answers" in refusal(sampler)
    sampler.close()
    assert time.process_time() - began < 10  # 1 s on the machine that it was written on
