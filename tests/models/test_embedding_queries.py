"""Queries of every structure under every model that can embed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from every_model import ENTITIES, FORMS, RELATIONS, class_of, each, make, paths, rows, small
from torch import Tensor

from graphkit import GraphkitError
from graphkit.models import Asked, Embedded, Model
from graphkit.queries import ONE_HOP, STRUCTURES, Structure, structure

QUERIES = 4
WITH_INTERSECTIONS = {"2i", "3i", "pi", "ip", "2in", "3in", "inp", "pin", "pni"}
WITH_NEGATIONS = {"2in", "3in", "inp", "pin", "pni"}


def lacks(name: str, shape: str) -> list[str]:
    """The operators, by their names, that a structure needs and a model has not."""
    model = small(name)
    needed = (("intersections", WITH_INTERSECTIONS, model.intersects), ("negations", WITH_NEGATIONS, model.negates))
    return [operator for operator, shapes, defined in needed if shape in shapes and not defined]


PAIRS = [(name, shape) for name in FORMS for shape in STRUCTURES]
each_pair = pytest.mark.parametrize(("name", "shape"), [pair for pair in PAIRS if not lacks(*pair)])
intersecting = pytest.mark.parametrize("name", [name for name in FORMS if small(name).intersects])
negating = pytest.mark.parametrize("name", [name for name in FORMS if small(name).negates])


def arguments(model: Model, shape: Structure, *, seed: int = 2) -> tuple[Tensor, Tensor]:
    """Encoded anchors [QUERIES, anchors, D] and directed relations [QUERIES, relations]."""
    anchors, relations = (len(shape.columns(kind)) for kind in ("anchor", "relation"))
    generator = torch.Generator().manual_seed(seed)
    encoded = model.encode(rows(QUERIES * anchors, seed=seed)).reshape(QUERIES, anchors, -1)
    return encoded, torch.randint(2 * RELATIONS, (QUERIES, relations), generator=generator)


def by_hand(model: Model, shape: str, anchors: Tensor, relations: Tensor) -> list[Tensor]:
    """The vectors of a published structure, spelt out."""
    both, no = model.intersect, model.negate

    def p(x: Tensor | int, *steps: int) -> Tensor:
        found = model.start(anchors[:, x]) if isinstance(x, int) else x
        for step in steps:
            found = model.project(found, relations[:, step])
        return found

    written: dict[str, Callable[[], list[Tensor]]] = {
        "1p": lambda: [p(0, 0)],
        "2p": lambda: [p(0, 0, 1)],
        "3p": lambda: [p(0, 0, 1, 2)],
        "2i": lambda: [both([p(0, 0), p(1, 1)])],
        "3i": lambda: [both([p(0, 0), p(1, 1), p(2, 2)])],
        "pi": lambda: [both([p(0, 0, 1), p(1, 2)])],
        "ip": lambda: [p(both([p(0, 0), p(1, 1)]), 2)],
        "2u": lambda: [p(0, 0), p(1, 1)],
        "up": lambda: [p(0, 0, 2), p(1, 1, 2)],
        "2in": lambda: [both([p(0, 0), no(p(1, 1))])],
        "3in": lambda: [both([p(0, 0), p(1, 1), no(p(2, 2))])],
        "inp": lambda: [p(both([p(0, 0), no(p(1, 1))]), 2)],
        "pin": lambda: [both([p(0, 0, 1), no(p(1, 2))])],
        "pni": lambda: [both([no(p(0, 0, 1)), p(1, 2)])],
    }
    return written[shape]()


@each_pair
def test_embedding_is_composing_the_operators(name: str, shape: str) -> None:
    model = make(name)
    anchors, relations = arguments(model, STRUCTURES[shape])
    found = model.embed(STRUCTURES[shape], anchors, relations)
    ways = by_hand(model, shape, anchors, relations)
    assert found.size == QUERIES
    torch.testing.assert_close(found.vectors, torch.stack(ways, dim=1).flatten(0, 1), rtol=1e-12, atol=1e-12)
    if len(ways) == 1:
        assert found.owners is None
    else:
        assert found.owners is not None
        assert found.owners.tolist() == [query for query in range(QUERIES) for _ in ways]


@each_pair
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_an_answer_counts_by_the_best_way_to_it(name: str, shape: str, shared: bool) -> None:
    model = make(name)
    anchors, relations = arguments(model, STRUCTURES[shape])
    candidates = model.candidates(model.encode(rows(ENTITIES)))
    own = torch.randint(ENTITIES, (QUERIES, 5), generator=torch.Generator().manual_seed(3))
    places = None if shared else own
    found = model.logits(model.embed(STRUCTURES[shape], anchors, relations), candidates, places)
    ways = by_hand(model, shape, anchors, relations)
    expected = torch.stack([model.score(way, candidates, places) for way in ways]).amax(dim=0)
    assert found.shape == (QUERIES, ENTITIES if shared else 5)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@each_pair
def test_gradients_reach_the_anchors_of_every_query(name: str, shape: str) -> None:
    model = make(name)
    anchors, relations = arguments(model, STRUCTURES[shape])
    anchors.requires_grad_()
    candidates = model.candidates(model.encode(rows(ENTITIES)))
    model.logits(model.embed(STRUCTURES[shape], anchors, relations), candidates).sum().backward()
    assert anchors.grad is not None
    assert torch.isfinite(anchors.grad).all()
    assert anchors.grad.abs().sum(dim=2).gt(0).any(dim=1).all()


@each
def test_a_union_does_not_depend_on_the_order_of_its_branches(name: str) -> None:
    model, shape = make(name), STRUCTURES["2u"]
    anchors, relations = arguments(model, shape)
    candidates = model.candidates(model.encode(rows(ENTITIES)))
    found = model.logits(model.embed(shape, anchors, relations), candidates)
    swapped = model.logits(model.embed(shape, anchors.flip(1), relations.flip(1)), candidates)
    torch.testing.assert_close(swapped, found, rtol=1e-12, atol=1e-12)


@each
def test_a_union_of_a_query_with_itself_is_the_query(name: str) -> None:
    model = make(name)
    anchors, relations = arguments(model, ONE_HOP)
    candidates = model.candidates(model.encode(rows(ENTITIES)))
    once = model.logits(model.embed(ONE_HOP, anchors, relations), candidates)
    twice = model.embed(STRUCTURES["2u"], anchors.expand(-1, 2, -1), relations.expand(-1, 2))
    torch.testing.assert_close(model.logits(twice, candidates), once, rtol=1e-12, atol=1e-12)


def branches(model: Model, count: int, *, queries: int = QUERIES) -> list[Tensor]:
    """Queries to intersect; no two boxes are equally wide."""
    some = [paths(model, model.encode(rows(queries, seed=seed))).detach() for seed in range(count)]
    return [
        x + 0.01 * seed * torch.rand(x.shape, generator=torch.Generator().manual_seed(9)) for seed, x in enumerate(some)
    ]


@intersecting
def test_an_intersection_does_not_depend_on_the_order_of_its_branches(name: str) -> None:
    model = make(name)
    some = branches(model, 3)
    found = model.intersect(some)
    for order in ([1, 0, 2], [2, 1, 0], [1, 2, 0]):
        torch.testing.assert_close(model.intersect([some[i] for i in order]), found, rtol=1e-12, atol=1e-12)


@intersecting
def test_gradients_of_an_intersection_equal_finite_differences(name: str) -> None:
    model = make(name)

    def intersect(*some: Tensor) -> Tensor:
        return model.intersect(some)

    assert torch.autograd.gradcheck(intersect, tuple(x.requires_grad_() for x in branches(model, 3, queries=2)))


@negating
def test_gradients_of_a_negation_equal_finite_differences(name: str) -> None:
    model = make(name)
    assert torch.autograd.gradcheck(model.negate, branches(model, 1)[0].requires_grad_())


@negating
def test_negating_a_union_is_intersecting_negations(name: str) -> None:
    model = make(name)
    path, no = ("e", ("r",)), ("e", ("r", "n"))
    union = structure((((path, path, ("u",)), ("n",)), path))
    spelt_out = structure(((no, no), path))
    anchors, relations = arguments(model, spelt_out)
    found, expected = (model.embed(shape, anchors, relations) for shape in (union, spelt_out))
    assert found.owners is None
    assert torch.equal(found.vectors, expected.vectors)
    p = [model.project(model.start(anchors[:, i]), relations[:, i]) for i in range(3)]
    # Side by side with the third branch: an intersection of an intersection would weigh otherwise.
    assert torch.equal(found.vectors, model.intersect([model.negate(p[0]), model.negate(p[1]), p[2]]))


@pytest.mark.parametrize(("name", "shape"), [pair for pair in PAIRS if lacks(*pair)])
def test_a_structure_that_a_model_cannot_embed_is_refused(name: str, shape: str) -> None:
    model = make(name)
    anchors, relations = arguments(model, STRUCTURES[shape])
    with pytest.raises(GraphkitError) as error:
        model.embed(STRUCTURES[shape], anchors, relations)
    assert str(error.value) == (
        f"{class_of(name).__name__} has no {' and no '.join(lacks(name, shape))}, which queries of the structure "
        f"{shape} need; choose structures without, or a model that has them (gqe and query2box intersect, betae "
        "negates too)"
    )


def test_the_models_that_the_sentence_names_have_what_it_says() -> None:
    assert class_of("gqe").intersects
    assert class_of("betae").intersects
    assert class_of("betae").negates


@each
def test_an_operator_that_a_model_lacks_is_not_there_to_call(name: str) -> None:
    model = make(name)
    x = paths(model, model.encode(rows(2)))
    for defined, call in (
        (model.intersects, lambda: model.intersect([x, x])),
        (model.negates, lambda: model.negate(x)),
    ):
        if defined:
            assert call().shape == x.shape
        else:
            with pytest.raises(NotImplementedError, match=type(model).__name__):
                call()


def mixed(model: Model, shapes: Sequence[str]) -> list[Embedded]:
    return [
        model.embed(STRUCTURES[shape], *arguments(model, STRUCTURES[shape], seed=seed))
        for seed, shape in enumerate(shapes)
    ]


@each
@pytest.mark.parametrize("shapes", [("1p", "2p"), ("2u",), ("1p", "2u", "2p", "up"), ("2u", "1p")])
def test_joined_queries_score_as_their_parts(name: str, shapes: Sequence[str]) -> None:
    model = make(name)
    candidates = model.candidates(model.encode(rows(ENTITIES)))
    parts = mixed(model, shapes)
    joined = Embedded.join(parts)
    assert joined.size == QUERIES * len(shapes)
    assert (joined.owners is None) == all(part.owners is None for part in parts)
    expected = torch.cat([model.logits(part, candidates) for part in parts])
    torch.testing.assert_close(model.logits(joined, candidates), expected, rtol=1e-12, atol=1e-12)


@each
def test_structures_embedded_together_equal_each_by_itself(name: str) -> None:
    model = make(name)
    shapes = [shape for shape in STRUCTURES if not lacks(name, shape)]
    asked = [Asked(STRUCTURES[shape], *arguments(model, STRUCTURES[shape], seed=i)) for i, shape in enumerate(shapes)]
    together, apart = model.embed_all(asked), Embedded.join(mixed(model, shapes))
    assert together.size == apart.size
    torch.testing.assert_close(together.vectors, apart.vectors, rtol=1e-12, atol=1e-12)
    assert (together.owners is None) == (apart.owners is None)
    if together.owners is not None and apart.owners is not None:
        assert torch.equal(together.owners, apart.owners)


@pytest.mark.parametrize("name", negating.args[1])
def test_operators_that_do_not_wait_for_each_other_are_applied_at_once(name: str) -> None:
    model = make(name)
    calls: list[str] = []
    for operator in ("project", "intersect", "negate"):
        applied = getattr(model, operator)

        def counted(*given: object, operator: str = operator, applied: Callable[..., Tensor] = applied) -> Tensor:
            calls.append(operator)
            return applied(*given)

        setattr(model, operator, counted)
    shapes = ("1p", "3p", "2i", "3i", "pi", "2in", "inp")
    model.embed_all([Asked(STRUCTURES[shape], *arguments(model, STRUCTURES[shape])) for shape in shapes])
    # Queries are at most four projections deep, and no two negations wait for each other.
    assert calls.count("project") == 4
    assert calls.count("negate") == 1
    assert len(calls) <= 11


@each
@pytest.mark.parametrize("shapes", [("1p", "2p"), ("1p", "2u", "2p", "up")])
@pytest.mark.parametrize("step", [1, 3, 8, 100])
def test_selected_queries_score_as_among_all(name: str, shapes: Sequence[str], step: int) -> None:
    model = make(name)
    candidates = model.candidates(model.encode(rows(ENTITIES)))
    joined = Embedded.join(mixed(model, shapes))
    chunks = [joined.select(start, start + step) for start in range(0, joined.size, step)]
    assert [chunk.size for chunk in chunks] == [min(step, joined.size - start) for start in range(0, joined.size, step)]
    found = torch.cat([model.logits(chunk, candidates) for chunk in chunks])
    torch.testing.assert_close(found, model.logits(joined, candidates), rtol=1e-12, atol=1e-12)
