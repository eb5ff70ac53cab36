"""Link evaluation equals a loop over triples, sides and entities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from strategies import random_graph

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.engine import EmbeddingTable
from graphkit.evaluation import evaluate_links, rank_links
from graphkit.graph import SPLITS, Split
from graphkit.models import ComplEx, Model, TransE

GRAPH = random_graph(20, 3, 90, seed=5, held_out=40)
KEYS = {"mrr", "mr", "hits@1", "hits@3", "hits@10"}


def trained(make=ComplEx) -> tuple[Model, EmbeddingTable]:
    generator = torch.Generator().manual_seed(0)
    model = make(3, dim=4)
    # Few values give many equal scores.
    values = torch.randint(-2, 3, (20, 4), generator=generator).float()
    with torch.no_grad():
        model.relations.copy_(torch.randint(-2, 3, model.relations.shape, generator=generator).float())
    return model, EmbeddingTable(values)


def naive(
    graph: KnowledgeGraph, model: Model, table: EmbeddingTable, triples: np.ndarray, splits: Sequence[Split]
) -> dict[str, list[tuple[float, int, int]]]:
    """The protocol, triple by triple: ranks of tails and heads among all entities that the filter does not know."""
    known = {tuple(triple) for split in splits for triple in graph.triples(split).tolist()}
    ranks: dict[str, list[tuple[float, int, int]]] = {"tail": [], "head": []}
    for h, r, t in triples.tolist():
        for side, anchor, relation, answer in (("tail", h, 2 * r, t), ("head", t, 2 * r + 1, h)):
            with torch.no_grad():
                query = model.project(table.weight[[anchor]], torch.tensor([relation]))
                scores = model.score(query, table.weight)[0].numpy()
            triple_of = (lambda e, h=h, r=r: (h, r, e)) if side == "tail" else (lambda e, r=r, t=t: (e, r, t))
            others = [scores[e] for e in range(graph.num_entities) if e != answer and triple_of(e) not in known]
            better, equal = sum(s > scores[answer] for s in others), sum(s == scores[answer] for s in others)
            ranks[side].append((1 + better + equal / 2, 1 + better, 1 + better + equal))
    return ranks


def metrics_of(ranks: Sequence[float]) -> dict[str, object]:
    values = np.array(ranks, dtype=np.float64)
    found = {"mrr": (1 / values).mean(), "mr": values.mean()} | {f"hits@{k}": (values <= k).mean() for k in (1, 3, 10)}
    return {name: pytest.approx(value) for name, value in found.items()}


def distinct(graph: KnowledgeGraph, split: Split) -> np.ndarray:
    return np.unique(graph.triples(split), axis=0)


@pytest.mark.parametrize("make", [ComplEx, TransE])
@pytest.mark.parametrize("splits", [SPLITS, ("train",), ("train", "valid"), ()], ids=["all", "train", "two", "raw"])
def test_evaluation_equals_a_loop_over_triples(make, splits: tuple[Split, ...]) -> None:
    model, table = trained(make)
    measured = evaluate_links(GRAPH, model, table, split="test", filter_splits=splits)
    ranks = naive(GRAPH, model, table, distinct(GRAPH, "test"), splits)
    both = ranks["tail"] + ranks["head"]
    assert measured.mean == metrics_of([mean for mean, _, _ in both])
    assert measured.optimistic == metrics_of([optimistic for _, optimistic, _ in both])
    assert measured.pessimistic == metrics_of([pessimistic for _, _, pessimistic in both])
    for side in ("tail", "head"):
        assert measured.sides[side] == metrics_of([mean for mean, _, _ in ranks[side]])


@pytest.mark.parametrize("scores_at_once", [1, 7, 64, 10**6])
def test_ranks_do_not_depend_on_what_is_held_at_once(scores_at_once: int) -> None:
    model, table = trained()
    triples = GRAPH.triples("test")
    some, is_head = rank_links(GRAPH, model, table, triples, scores_at_once=scores_at_once)
    whole, same = rank_links(GRAPH, model, table, triples)
    assert torch.equal(some.mean, whole.mean)
    assert torch.equal(is_head, same)


def test_every_triple_is_ranked_from_both_sides() -> None:
    model, table = trained()
    ranks, is_head = rank_links(GRAPH, model, table, GRAPH.triples("test"))
    assert len(ranks.mean) == 2 * len(distinct(GRAPH, "test"))
    assert int(is_head.sum()) == len(distinct(GRAPH, "test"))


def test_readings_of_ties_are_ordered() -> None:
    measured = evaluate_links(GRAPH, *trained())
    assert measured.pessimistic["mrr"] < measured.mean["mrr"] < measured.optimistic["mrr"]
    assert measured.optimistic["mr"] < measured.mean["mr"] < measured.pessimistic["mr"]
    for k in ("hits@1", "hits@3", "hits@10"):
        assert measured.pessimistic[k] <= measured.mean[k] <= measured.optimistic[k]


def test_the_protocol_and_the_metrics_are_named() -> None:
    measured = evaluate_links(GRAPH, *trained(), split="valid", filter_splits=("train", "valid"))
    count = len(distinct(GRAPH, "valid"))
    assert measured.protocol == {
        "split": "valid",
        "triples": count,
        "triples_in_split": len(GRAPH.triples("valid")),
        "filtered_by": ["train", "valid"],
        "sides": "both",
        "ties": "mean rank",
        "candidates": "all entities",
        "entities": 20,
        "precision": "fp32",
    }
    assert set(measured.mean) == set(measured.optimistic) == set(measured.pessimistic) == KEYS
    assert set(measured.to_json()) == KEYS | {"optimistic", "pessimistic", "tail", "head"}
    assert set(measured.sides["tail"]) == KEYS


def test_a_repeated_triple_counts_once() -> None:
    train, test = GRAPH.triples(), distinct(GRAPH, "test")
    once, thrice = (
        KnowledgeGraph.from_triples(train, test=part, num_entities=20, num_relations=3)
        for part in (test, np.concatenate([test, test[:9], test[:4]]))
    )
    one, other = (evaluate_links(graph, *trained()) for graph in (once, thrice))
    assert one.mean == other.mean
    assert one.protocol["triples"] == other.protocol["triples"] == len(test)


def test_a_limit_picks_the_same_triples_every_time() -> None:
    model, table = trained()
    some, again = (evaluate_links(GRAPH, model, table, limit=10) for _ in range(2))
    assert some.mean == again.mean
    assert some.protocol["triples"] == 10
    assert some.protocol["triples_in_split"] == 40
    assert some.mean != evaluate_links(GRAPH, model, table).mean


@pytest.mark.parametrize("limit", [40, 1000])
def test_a_limit_beyond_the_split_ranks_all(limit: int) -> None:
    assert evaluate_links(GRAPH, *trained(), limit=limit).mean == evaluate_links(GRAPH, *trained()).mean


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(GraphkitError, match="limit"):
        evaluate_links(GRAPH, *trained(), limit=limit)


def test_an_empty_split_is_refused() -> None:
    graph = KnowledgeGraph.from_triples([(0, 0, 1)], num_entities=20, num_relations=3)
    with pytest.raises(GraphkitError) as error:
        evaluate_links(graph, *trained(), split="valid")
    expected = "the graph has no valid triples to rank; import it with a valid file or a split"
    assert str(error.value) == expected


def test_a_model_that_has_diverged_is_refused() -> None:
    model, table = trained()
    table.weight[3] = torch.nan
    with pytest.raises(GraphkitError, match=r"is not a number; the model has diverged: train again with a lower lr$"):
        evaluate_links(GRAPH, model, table)


def test_a_perfect_model_has_perfect_metrics(six_nodes: KnowledgeGraph) -> None:
    """Every relation leads each entity to a place of its own: the truth is written into the rows."""

    class Oracle(TransE):
        def project(self, x: torch.Tensor, relations: torch.Tensor) -> torch.Tensor:
            heads = x.argmax(dim=1)
            rows = torch.zeros_like(x)
            for i, (head, relation) in enumerate(zip(heads.tolist(), relations.tolist(), strict=True)):
                rows[i, six_nodes.answers(head, relation)[0]] = 1
            return rows

        def score(
            self, queries: torch.Tensor, candidates: torch.Tensor, places: torch.Tensor | None = None
        ) -> torch.Tensor:
            return queries @ candidates.T

    measured = evaluate_links(six_nodes, Oracle(2, dim=6), EmbeddingTable(torch.eye(6)))
    assert measured.mean == {"mrr": 1, "mr": 1, "hits@1": 1, "hits@3": 1, "hits@10": 1}
    assert measured.mean == measured.pessimistic
