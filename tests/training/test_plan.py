"""Settings that a user leaves open: bounded work, and nothing that was given is changed."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_graph

from graphkit.errors import GraphkitError
from graphkit.models import BetaE, ComplEx, TransE
from graphkit.training import plan
from graphkit.training.plan import make_plan

OPEN: dict[str, Any] = {
    "sampler": {"structures": None, "mode": None, "batch_size": None, "negatives": None, "threads": 1, "ahead": 4}
    | {"chunks": 1, "corruption": "uniform"},
    "trainer": {
        "max_steps": None,
        "max_epochs": None,
        "validate_every": None,
        "checkpoint_every": None,
        "log_every": None,
        "patience": 5,
        "keep": 1,
        "threads": None,
    },
}


#: With one-hop queries where the configuration names no structures.
complete = partial(plan.complete, structures="1p")


def sized(entities: int, edges: int) -> Any:
    """Of a graph, a plan looks at nothing else."""
    return SimpleNamespace(num_entities=entities, num_edges=edges)


def model(kind: type, dim: int) -> Any:
    return kind(1, dim=dim)


def given_settings(**settings: Any) -> dict[str, Any]:
    """The open configuration with some settings, e.g. trainer_max_steps=3."""
    config = {group: dict(values) for group, values in OPEN.items()}
    for name, value in settings.items():
        group, _, key = name.partition("_")
        assert key in config[group]
        config[group][key] = value
    return config


sizes = st.builds(sized, st.integers(1, 90_000_000), st.integers(1, 400_000_000))
models = st.builds(model, st.sampled_from([ComplEx, TransE]), st.integers(1, 400).map(lambda half: 2 * half))


@pytest.mark.parametrize(("given_structures", "kept"), [(None, "1p 2i"), ("3p", "3p")])
def test_structures_are_those_of_the_task_unless_some_are_given(given_structures: str | None, kept: str) -> None:
    config = given_settings(sampler_structures=given_structures)
    done = plan.complete(config, sized(9, 10), model(ComplEx, 8), full=True, structures="1p 2i")
    assert done["sampler"]["structures"] == kept


@given(sizes, models, st.booleans())
def test_work_is_bounded(graph: Any, model: Any, full: bool) -> None:
    made = make_plan(graph, model, full=full)
    candidates = graph.num_entities if made.mode == "none" else made.negatives
    epoch = 6.0 * model.dim * 2 * graph.num_edges * candidates
    # Graphs with epochs of a few batches get their least number of steps, which is little work.
    least = 6.0 * model.dim * plan.LEAST_STEPS * 64 * candidates
    assert made.epochs * epoch <= max(plan.WORK_FLOP, least) + epoch
    assert made.epochs >= 1


@given(sizes, models, st.booleans())
def test_plans_are_whole(graph: Any, model: Any, full: bool) -> None:
    made = make_plan(graph, model, full=full)
    assert made.mode in ("none", "shared")
    assert 64 <= made.batch_size <= 1024 and made.batch_size.bit_count() == 1
    if made.mode == "none":
        assert full and model.matrix_product and made.negatives == 0
    else:
        assert made.negatives == min(plan.SHARED_CANDIDATES, graph.num_entities)
    assert made.epochs * 2 * graph.num_edges >= min(plan.LEAST_STEPS * 64, 2 * graph.num_edges)


@pytest.mark.parametrize(
    ("entities", "edges", "kind", "full", "mode"),
    [
        (2_034, 32_888, ComplEx, True, "none"),  # CoDEx-S
        (104, 8_544, ComplEx, True, "none"),
        (104, 8_544, ComplEx, False, "shared"),  # a loss that needs negatives
        (104, 8_544, TransE, True, "shared"),  # distances are no matrix product
        (86_000_000, 338_000_000, ComplEx, True, "shared"),
    ],
)
def test_all_entities_are_candidates_where_that_is_affordable(
    entities: int, edges: int, kind: type, full: bool, mode: str
) -> None:
    assert make_plan(sized(entities, edges), model(kind, 200), full=full).mode == mode


def test_graph_of_a_few_triples_gets_a_least_number_of_steps() -> None:
    done = complete(OPEN, sized(5, 10), model(ComplEx, 8), full=True)
    assert done["trainer"]["max_steps"] >= plan.LEAST_STEPS


@given(sizes, models, st.booleans())
def test_nothing_that_training_needs_stays_open(graph: Any, model: Any, full: bool) -> None:
    done = complete(OPEN, graph, model, full=full)
    assert None not in done["sampler"].values()
    assert [key for key, value in done["trainer"].items() if value is None] == ["max_epochs"]
    trainer = done["trainer"]
    assert 1 <= trainer["log_every"] <= trainer["validate_every"] <= trainer["max_steps"]
    # Once an epoch would be too often for small graphs; twenty times are enough for any.
    assert trainer["max_steps"] / trainer["validate_every"] <= plan.VALIDATIONS
    assert trainer["checkpoint_every"] == min(trainer["validate_every"], plan.CHECKPOINT_STEPS)
    assert OPEN["sampler"]["mode"] is None and OPEN["trainer"]["max_steps"] is None  # not changed in place


@pytest.mark.parametrize(
    "settings",
    [
        {"trainer_max_steps": 3},
        {"trainer_validate_every": 0},
        {"trainer_validate_every": 7},
        {"trainer_checkpoint_every": 9},
        {"trainer_log_every": 2},
        {"trainer_threads": 2},
        {"trainer_patience": 0, "trainer_keep": 4},
        {"sampler_mode": "own"},
        {"sampler_mode": "none"},
        {"sampler_negatives": 17, "sampler_mode": "shared"},
        {"sampler_batch_size": 10},
        {"sampler_threads": 2, "sampler_ahead": 1},
    ],
)
def test_given_settings_are_kept(settings: dict[str, Any]) -> None:
    done = complete(given_settings(**settings), sized(1000, 5000), model(ComplEx, 20), full=True)
    for name, value in settings.items():
        group, _, key = name.partition("_")
        assert done[group][key] == value
    assert (done["sampler"]["negatives"] == 0) == (done["sampler"]["mode"] == "none")


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({"sampler_chunks": 4}, "shared"),
        ({"sampler_corruption": "degree"}, "shared"),
        ({"sampler_corruption": "typed"}, "own"),
    ],
)
def test_settings_that_need_negatives_choose_the_mode(settings: dict[str, Any], mode: str) -> None:
    graph, complex_ = sized(1000, 5000), model(ComplEx, 20)
    assert complete(given_settings(), graph, complex_, full=True)["sampler"]["mode"] == "none"
    assert complete(given_settings(**settings), graph, complex_, full=True)["sampler"]["mode"] == mode


def test_epochs_become_steps_of_the_batch_size() -> None:
    config = given_settings(trainer_max_epochs=3, sampler_batch_size=64)
    assert complete(config, sized(50, 1000), model(ComplEx, 4), full=True)["trainer"]["max_steps"] == 94  # ⌈3·2000/64⌉
    config = given_settings(trainer_max_epochs=3, trainer_max_steps=5, sampler_batch_size=64)
    assert complete(config, sized(50, 1000), model(ComplEx, 4), full=True)["trainer"]["max_steps"] == 5


def test_small_steps_take_one_thread() -> None:
    threads = partial(complete, given_settings(sampler_mode="shared", sampler_batch_size=64, sampler_negatives=64))
    assert threads(sized(1000, 5000), model(ComplEx, 20), full=True)["trainer"]["threads"] == 1
    large = given_settings(sampler_mode="none", sampler_batch_size=1024)
    done = complete(large, sized(100_000, 5000), model(ComplEx, 200), full=True)
    assert done["trainer"]["threads"] >= 1 and isinstance(done["trainer"]["threads"], int)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"trainer_max_steps": 0}, "trainer.max_steps is 0, and a number above 0 is needed"),
        ({"trainer_max_epochs": -1}, "trainer.max_epochs is -1, and a number above 0 is needed"),
        ({"sampler_batch_size": 0}, "sampler.batch_size is 0, and at least 1 is needed"),
    ],
)
def test_budgets_that_are_not_positive_are_named(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphkitError) as caught:
        complete(given_settings(**settings), sized(10, 20), model(ComplEx, 4), full=True)
    assert str(caught.value) == sentence


def test_plan_of_a_real_graph_object_is_the_one_of_its_size() -> None:
    graph = random_graph(40, 2, 90)
    assert make_plan(graph, model(ComplEx, 8), full=True) == make_plan(
        sized(graph.num_entities, graph.num_edges), model(ComplEx, 8), full=True
    )


def test_several_structures_share_candidates_where_one_hop_takes_all_entities() -> None:
    graph = sized(500, 5000)
    for structures, mode in (
        ("1p", "none"),
        ("1p 1p", "none"),
        (" ('e', ('r',)) ", "none"),
        ("1p 2p", "shared"),
        ("2p", "shared"),
    ):
        done = plan.complete(OPEN, graph, model(ComplEx, 20), full=True, structures=structures)
        assert done["sampler"]["mode"] == mode


def test_a_network_takes_its_share_of_the_budget() -> None:
    graph = sized(100_000, 50_000)
    wide, narrow = (BetaE(1, dim=100, hidden=hidden) for hidden in (2000, 10))
    steps = [plan.complete(OPEN, graph, m, full=True, structures="2i")["trainer"]["max_steps"] for m in (wide, narrow)]
    assert steps[0] < 0.2 * steps[1]
