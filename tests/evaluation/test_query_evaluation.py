"""Evaluation of multi-hop queries equals a loop over queries, hard answers and entities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from strategies import random_graph
from torch import Tensor, nn

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.engine import EmbeddingTable
from graphkit.evaluation import Candidates, evaluate_queries, query_scorer, summarize
from graphkit.evaluation.ranking import QUERIES_AT_ONCE
from graphkit.evaluation.scoring import STREAMED_QUERIES_AT_ONCE
from graphkit.models import Model, TransE
from graphkit.queries import (
    STRUCTURES,
    Anchor,
    AnswerSets,
    EasyAndHard,
    Intersection,
    Negation,
    Node,
    Projection,
    QueryTable,
    Union,
    easy_and_hard,
    structure,
)

ENTITIES, RELATIONS = 18, 3
GRAPH = random_graph(ENTITIES, RELATIONS, 60, seed=3, held_out=20)
KEYS = {"mrr", "mr", "hits@1", "hits@3", "hits@10"}
READINGS = ("mean", "optimistic", "pessimistic")
#: Unions below, above and beside intersections and negations.
NESTED = "((('e', ('r',)), ('e', ('r', 'n')), ('u',)), ('e', ('r', 'r')))"
BOUNDED = ["1p", "2p", "3p", "2i", "ip", "2u", "up", "2in", "inp", "pni", NESTED]


class Toy(Model):
    """Translations, minima and mirror images, with candidates twice the rows: all operators, and few values."""

    intersects = True
    negates = True

    def __init__(self, num_relations: int, *, dim: int = 4) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=True)
        self.relations = nn.Parameter(torch.zeros(2 * num_relations, dim))
        self.encodings = 0

    def initialize(self, generator: torch.Generator) -> None:
        raise AssertionError("the tests set all values")

    def initial_rows(self, count: int, generator: torch.Generator) -> Tensor:
        raise AssertionError("the tests set all values")

    def project(self, x: Tensor, relations: Tensor) -> Tensor:
        return x + self.relation_parameters(relations)

    def intersect(self, branches: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(branches)).amin(dim=0)

    def negate(self, x: Tensor) -> Tensor:
        return -x

    def candidates(self, encoded: Tensor) -> Tensor:
        self.encodings += len(encoded)
        return torch.cat([encoded, encoded], dim=1)

    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:
        assert places is None
        return -torch.cdist(torch.cat([queries, queries], dim=1), candidates, p=1)


def trained(make: type[Model] = Toy) -> tuple[Model, EmbeddingTable]:
    """Whole numbers between -2 and 2: sums are exact, and many scores are equal."""
    generator = torch.Generator().manual_seed(0)
    model = make(RELATIONS, dim=4)  # type: ignore[call-arg]
    with torch.no_grad():
        model.relations.copy_(torch.randint(-2, 3, model.relations.shape, generator=generator).float())
    return model, EmbeddingTable(torch.randint(-2, 3, (ENTITIES, 4), generator=generator).float())


def asked(name: str, *, queries: int = 40, graph: KnowledgeGraph = GRAPH) -> QueryTable:
    """Random queries with their answers; most have few, many have no hard one."""
    shape = structure(name)
    limits = {"anchor": graph.num_entities, "relation": 2 * graph.num_relations}
    rows = np.random.default_rng(len(name)).integers(
        0, [limits[kind] for kind in shape.arguments], (queries, shape.width)
    )
    return QueryTable(shape, rows, easy_and_hard(shape, rows, graph))


def sets(values: list[list[int]]) -> AnswerSets:
    flat = np.array([value for part in values for value in part], dtype=np.int64)
    return AnswerSets(flat, np.cumsum([0, *map(len, values)]))


def one_hop(rows: list[list[int]], easy: list[list[int]], hard: list[list[int]]) -> QueryTable:
    return QueryTable(STRUCTURES["1p"], np.array(rows), EasyAndHard(sets(easy), sets(hard)))


# ---------------------------------------------------------------------------------------------- the loop that defines


def naive_scores(model: Model, table: EmbeddingTable, node: Node) -> list[float]:
    """The scores of all entities for one query: each disjunct is embedded by itself, and the best counts."""

    def vector(tree: Node) -> Tensor:
        match tree:
            case Anchor():
                return model.encode(table.weight[[tree.entity]])
            case Projection():
                return model.project(vector(tree.operand), torch.tensor([tree.relation]))
            case Intersection():
                return model.intersect([vector(branch) for branch in tree.branches])
            case Negation():
                return model.negate(vector(tree.operand))
            case Union():
                raise AssertionError("a disjunct has no unions")

    with torch.no_grad():
        candidates = model.candidates(model.encode(table.weight))
        ways = [model.score(vector(tree), candidates)[0] for tree in naive_disjuncts(node)]
    return torch.stack(ways).amax(dim=0).tolist()


def naive_disjuncts(node: Node) -> list[Node]:
    from graphkit.queries import disjuncts

    return list(disjuncts(node))


def naive(model: Model, table: EmbeddingTable, queries: QueryTable) -> dict[str, dict[str, float]]:
    """The protocol, query by query and answer by answer."""
    averages: dict[str, list[dict[str, float]]] = {reading: [] for reading in READINGS}
    for i, row in enumerate(queries.rows.tolist()):
        hard, easy = queries.answers.hard[i].tolist(), queries.answers.easy[i].tolist()
        if not hard:
            continue
        scores = naive_scores(model, table, queries.structure.fill(row))
        others = [score for entity, score in enumerate(scores) if entity not in hard and entity not in easy]
        ranks: dict[str, list[float]] = {reading: [] for reading in READINGS}
        for answer in hard:
            better, equal = sum(s > scores[answer] for s in others), sum(s == scores[answer] for s in others)
            for reading, share in (("mean", 0.5), ("optimistic", 0.0), ("pessimistic", 1.0)):
                ranks[reading].append(1 + better + share * equal)
        for reading in READINGS:
            averages[reading].append(
                {"mrr": mean(1 / rank for rank in ranks[reading]), "mr": mean(ranks[reading])}
                | {f"hits@{k}": mean(rank <= k for rank in ranks[reading]) for k in (1, 3, 10)}
            )
    return {reading: macro(averages[reading]) for reading in READINGS}


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def macro(parts: list[dict[str, float]]) -> dict[str, float]:
    return {key: pytest.approx(mean(part[key] for part in parts)) for key in KEYS}  # type: ignore[misc]


@pytest.mark.parametrize("name", BOUNDED)
def test_a_structure_equals_a_loop_over_queries_answers_and_entities(name: str) -> None:
    model, table = trained()
    queries = asked(name)
    measured = evaluate_queries(model, table, {name: queries})
    expected = naive(model, table, queries)
    for reading in READINGS:
        assert getattr(measured.structures[name], reading) == expected[reading]
    with_hard = int((queries.answers.hard.sizes > 0).sum())
    assert 0 < with_hard < len(queries)  # some are left out, and counted
    assert measured.counts[name] == {
        "queries": with_hard,
        "hard_answers": len(queries.answers.hard.values),
        "without_hard_answers": len(queries) - with_hard,
    }


@pytest.mark.parametrize("name", ["1p", "2p", "3p", "2u", "up"])
def test_a_model_of_paths_answers_paths_and_unions(name: str) -> None:
    model, table = trained(TransE)
    measured = evaluate_queries(model, table, {name: asked(name)})
    assert measured.structures[name].mean == naive(model, table, asked(name))["mean"]


def test_means_are_over_structures_with_and_without_negation() -> None:
    names = ["1p", "2i", "up", "2in", "pni"]
    measured = evaluate_queries(*trained(), {name: asked(name) for name in names}).to_json()
    assert list(measured) == [*names, "mean_epfo", "mean_negation"]
    for key, parts in (("mean_epfo", names[:3]), ("mean_negation", names[3:])):
        for metric in KEYS:
            assert measured[key][metric] == pytest.approx(mean(measured[part][metric] for part in parts))
        for reading in ("optimistic", "pessimistic"):
            assert measured[key][reading]["mrr"] == pytest.approx(
                mean(measured[part][reading]["mrr"] for part in parts)
            )
    assert set(measured["up"]) == KEYS | {
        "optimistic",
        "pessimistic",
        "queries",
        "hard_answers",
        "without_hard_answers",
    }
    assert set(measured["mean_epfo"]) == KEYS | {"optimistic", "pessimistic"}


def test_a_mean_of_nothing_is_left_out() -> None:
    queries = {name: asked(name) for name in ("2in", "2p")}
    both = evaluate_queries(*trained(), queries)
    assert set(evaluate_queries(*trained(), {"2p": queries["2p"]}).to_json()) == {"2p", "mean_epfo"}
    assert set(evaluate_queries(*trained(), {"2in": queries["2in"]}).to_json()) == {"2in", "mean_negation"}
    parts = [both.structures[name].mean for name in queries]
    assert both.mean == macro(parts)


def test_the_protocol_is_said() -> None:
    assert evaluate_queries(*trained(), {"1p": asked("1p")}, limit=3).protocol == {
        "queries_at_most": 3,
        "ranked": "hard answers",
        "filtered_by": ["easy answers", "hard answers"],
        "averaged_over": ["hard answers of a query", "queries of a structure", "structures"],
        "ties": "mean rank",
        "candidates": "all entities",
        "entities": ENTITIES,
        "precision": "fp32",
        "skipped": {},
    }


def test_a_query_of_many_answers_counts_as_much_as_one_of_few() -> None:
    found = summarize(torch.tensor([1.0, 2.0, 4.0, 11.0]), torch.tensor([0, 7, 7, 7]))
    assert found == {
        "mrr": pytest.approx((1 + (1 / 2 + 1 / 4 + 1 / 11) / 3) / 2),
        "mr": pytest.approx((1 + 17 / 3) / 2),
        "hits@1": pytest.approx((1 + 0) / 2),
        "hits@3": pytest.approx((1 + 1 / 3) / 2),
        "hits@10": pytest.approx((1 + 2 / 3) / 2),
    }


# -------------------------------------------------------------------------------------------------------- edge cases


def test_a_limit_picks_the_same_queries_among_those_with_hard_answers() -> None:
    queries = {"2p": asked("2p")}
    some, again, every = (evaluate_queries(*trained(), queries, limit=limit) for limit in (5, 5, None))
    assert some.to_json() == again.to_json()
    assert some.counts["2p"]["queries"] == 5
    assert some.counts["2p"]["without_hard_answers"] == every.counts["2p"]["without_hard_answers"]
    assert some.structures["2p"] != every.structures["2p"]
    assert evaluate_queries(*trained(), queries, limit=1000).to_json() == every.to_json()
    with pytest.raises(GraphkitError) as error:
        evaluate_queries(*trained(), queries, limit=0)
    assert str(error.value) == "the limit of queries of a structure is 0, and at least 1 is needed; None ranks all"


def test_a_structure_that_the_model_lacks_is_an_error_or_skipped() -> None:
    model, table = trained(TransE)
    queries = {name: asked(name) for name in ("2i", "1p", "pni")}
    with pytest.raises(GraphkitError, match=r"^TransE has no intersections, which queries of the structure 2i need; "):
        evaluate_queries(model, table, queries)
    measured = evaluate_queries(model, table, queries, skip_unsupported=True)
    assert set(measured.to_json()) == {"1p", "mean_epfo"}
    skipped = measured.protocol["skipped"]
    assert isinstance(skipped, dict) and list(skipped) == ["2i", "pni"]
    assert skipped["pni"].startswith("TransE has no intersections and no negations, which queries of the structure pni")


def test_nothing_to_rank_is_refused_with_the_reasons() -> None:
    model, table = trained(TransE)
    without = one_hop([[0, 0], [1, 0]], [[2], []], [[], []])
    with pytest.raises(GraphkitError) as error:
        evaluate_queries(model, table, {"1p": without})
    assert str(error.value) == "there are no queries to rank: 1p: none of its 2 queries has a hard answer"
    with pytest.raises(GraphkitError, match=r"^there are no queries to rank: 2i: TransE has no intersections, which"):
        evaluate_queries(model, table, {"2i": asked("2i")}, skip_unsupported=True)
    with pytest.raises(GraphkitError) as error:
        evaluate_queries(model, table, {})
    assert str(error.value) == "there are no queries to rank: no structure was given"
    measured = evaluate_queries(model, table, {"1p": without, "2p": asked("2p")})
    assert measured.protocol["skipped"] == {"1p": "none of its 2 queries has a hard answer"}
    assert set(measured.to_json()) == {"2p", "mean_epfo"}


def test_a_query_whose_answers_are_all_entities_has_ranks_of_one() -> None:
    everything = list(range(ENTITIES))
    measured = evaluate_queries(*trained(), {"1p": one_hop([[0, 0]], [everything[:5]], [everything[5:]])})
    for reading in READINGS:
        assert getattr(measured.structures["1p"], reading) == {
            "mr": 1,
            "mrr": 1,
            "hits@1": 1,
            "hits@3": 1,
            "hits@10": 1,
        }


def test_a_score_that_is_not_a_number_names_the_query_of_the_table() -> None:
    model, table = trained()
    table.weight[7] = math.nan
    queries = one_hop([[7, 0], [1, 0], [2, 0]], [[], [1], []], [[], [2], [3]])  # the first has no hard answer
    with pytest.raises(GraphkitError) as error:
        evaluate_queries(model, table, {"1p": queries})
    assert str(error.value) == (
        "the score of query 1 of 1p is not a number; the model has diverged: train again with a lower lr"
    )


@pytest.mark.parametrize(
    ("queries", "what"),
    [
        (one_hop([[18, 0]], [[]], [[1]]), "the anchor 18, outside 0 to 17"),
        (one_hop([[0, 6]], [[]], [[1]]), "the directed relation 6, outside 0 to 5"),
        (one_hop([[0, 0]], [[99]], [[1]]), "the easy answer 99, outside 0 to 17"),
        (one_hop([[0, 0]], [[]], [[18]]), "the hard answer 18, outside 0 to 17"),
        (one_hop([[0, -1]], [[]], [[1]]), "the directed relation -1, outside 0 to 5"),
    ],
)
def test_queries_of_another_graph_are_refused(queries: QueryTable, what: str) -> None:
    with pytest.raises(GraphkitError) as error:
        evaluate_queries(*trained(), {"mine": queries})
    assert str(error.value) == (
        f"the queries of mine have {what}; evaluate a model on queries of the graph that it was trained on"
    )


@pytest.mark.parametrize("rows", [[[0, 0]], [[0, 0, 0], [1, 0, 0]], [0, 1]])
def test_a_table_whose_parts_differ_is_refused(rows: list[object]) -> None:
    with pytest.raises(GraphkitError) as error:
        one_hop(rows, [[1], [2]], [[], []])  # type: ignore[arg-type]
    assert str(error.value) == (
        f"a table of 1p queries has rows of shape {np.array(rows).shape}, 2 sets of easy and 2 of hard answers; rows "
        "of shape (B, 2) and B sets of each are needed"
    )


# ------------------------------------------------------------------------------------------------------------- parts


def test_entities_are_encoded_once_for_all_structures() -> None:
    model, table = trained()
    assert isinstance(model, Toy)
    evaluate_queries(model, table, {name: asked(name) for name in ("1p", "2p", "2in")})
    assert model.encodings == ENTITIES + 1  # the first tells how much all would take


def test_candidates_beyond_the_bound_are_encoded_when_asked() -> None:
    model, table = trained()
    size = ENTITIES * 8 * 4
    kept, streamed = (Candidates(model, table, kept_bytes=bound) for bound in (size, size - 1))
    assert isinstance(model, Toy)
    model.encodings = 0
    assert torch.equal(kept.slice(3, 9), torch.cat([table.weight, table.weight], dim=1)[3:9])
    assert model.encodings == 0
    assert torch.equal(streamed.slice(3, 9), kept.slice(3, 9))
    assert model.encodings == 6
    shape, rows = structure("2in"), asked("2in").rows
    numbers = torch.arange(len(rows))
    scorers = [query_scorer(model, table, shape, rows, candidates=part) for part in (kept, streamed)]
    scorers.append(query_scorer(model, table, shape, rows))
    first, *others = [scorer(numbers, 2, 15) for scorer in scorers]
    assert all(torch.equal(first, other) for other in others)


def test_entities_that_each_pass_encodes_again_are_shared_by_more_queries() -> None:
    model, table = trained()
    assert Candidates(model, table).queries_at_once == QUERIES_AT_ONCE
    assert Candidates(model, table, kept_bytes=0).queries_at_once == STREAMED_QUERIES_AT_ONCE > QUERIES_AT_ONCE
    assert Candidates(*trained(TransE), kept_bytes=0).queries_at_once == QUERIES_AT_ONCE


def test_many_rows_are_encoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphkit.evaluation.scoring._ROWS_AT_ONCE", 5)
    model, table = trained()
    kept = Candidates(model, table)
    assert torch.equal(kept.slice(0, ENTITIES), torch.cat([table.weight, table.weight], dim=1))
    assert not kept.slice(0, 1).requires_grad


def test_a_model_that_computes_nothing_on_rows_reads_the_table() -> None:
    model, table = trained(TransE)
    assert Candidates(model, table).slice(2, 5).data_ptr() == table.weight[2:5].data_ptr()


def test_sets_of_answers_are_taken_and_joined() -> None:
    easy, hard = sets([[5], [], [0, 3]]), sets([[2, 7], [1], []])
    assert [easy.take(np.array([2, 0, 2]))[i].tolist() for i in range(3)] == [[0, 3], [5], [0, 3]]
    assert len(easy.take(np.array([], dtype=np.int64))) == 0
    everything = EasyAndHard(easy, hard).everything()
    assert [everything[i].tolist() for i in range(3)] == [[2, 5, 7], [1], [0, 3]]
    nothing = EasyAndHard(sets([[], []]), sets([[], []])).everything()
    assert (len(nothing), len(nothing.values)) == (2, 0)
    query, entity = everything.block(1, 3)
    assert (query.tolist(), entity.tolist()) == ([0, 1, 1], [1, 0, 3])


@pytest.mark.parametrize("name", STRUCTURES)
def test_negated_structures_are_those_with_an_n_in_their_name(name: str) -> None:
    assert STRUCTURES[name].negated == ("n" in name)
