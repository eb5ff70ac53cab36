"""Every YAML of conf/: it composes, it says exactly what its class takes, and what it describes trains."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra.core.config_store import ConfigStore
from strategies import random_graph
from torch.optim import Optimizer

from graphkit.cli.complaints import RunConfig
from graphkit.cli.compose import to_plain
from graphkit.cli.settings import conf_folder
from graphkit.data import QUERY_SETS
from graphkit.engine import RowOptimizer
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import ContrastiveLoss, Loss
from graphkit.models import Encoder, Model
from graphkit.samplers import SamplerOptions
from graphkit.training import ClusterSampling, Schedule, load_graph, start
from graphkit.training.assembly import graph_kind
from graphkit.training.targets import made_kind, named_target

GROUPS = sorted(path.name for path in conf_folder().iterdir() if path.is_dir())
FILES = [(group, path.stem) for group in GROUPS for path in sorted((conf_folder() / group).glob("*.yaml"))]
#: Keywords that are objects, or that the root of a configuration gives.
GIVEN = {
    "model": {"num_relations", "num_features"},
    "loss": {"dim"},
    "task": {"graph", "model", "table", "sampler", "loss", "optimizer", "seed", "engine", "form", "epochs"},
    "graph": {"root"},
}
#: Graphs that a folder holds.
STORES = {"store", "node_store"}
#: What names a graph has no default.
OWN = {"graph": {"name", "path"}}


def composed(*overrides: str) -> dict[str, Any]:
    ConfigStore.instance().store(name="run_config", node=RunConfig)
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        return to_plain(hydra.compose("train", overrides=list(overrides)))


def load(group: str, name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((conf_folder() / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return dict(loaded)


def with_target() -> list[tuple[str, str]]:
    return [(group, name) for group, name in FILES if "_target_" in load(group, name)]


def choices(group: str) -> list[str]:
    return [name for found, name in FILES if found == group]


def choices_of(group: str, kind: type[Any]) -> list[str]:
    """The choices that make this kind of object; a group may hold several kinds."""
    kinds = {name: made_kind(target_of(group, name)) for name in choices(group)}
    return [name for name, made in kinds.items() if made is not None and issubclass(made, kind)]


def choices_with(group: str, key: str, *, present: bool = True) -> list[str]:
    """The choices of a group without a ``_target_`` that have a setting, or that have it not."""
    return [name for name in choices(group) if (key in load(group, name)) == present]


def target_of(group: str, name: str) -> Callable[..., Any]:
    return named_target({group: load(group, name)}, group)


def of_nodes(experiment: str) -> bool:
    """Whether an experiment trains on a graph of nodes."""
    return graph_kind(composed(f"experiment={experiment}")) is not KnowledgeGraph


QUERY_SAMPLERS, CLUSTER_SAMPLERS = choices_with("sampler", "mode"), choices_with("sampler", "drop_rate")
NODE_TRAINERS = choices_with("trainer", "form")


def test_groups_and_experiments_that_others_rely_on() -> None:
    assert {"task", "graph", "sampler", "model", "loss", "optimizer", "engine", "trainer", "experiment"} <= set(GROUPS)
    assert {group for group, _ in FILES} == set(GROUPS)
    assert {"demo", "kinships_complex", "umls_complex"} <= set(choices("experiment"))


@pytest.mark.parametrize(("group", "name"), FILES)
def test_choice_composes(group: str, name: str) -> None:
    path = ["graph.path=somewhere"] if group == "graph" and name in STORES else []
    config = composed(f"{group}={name}", *path)
    assert set(config) == set(RunConfig.__dataclass_fields__)
    for part in ("task", "graph", "model", "loss", "optimizer", "engine"):
        assert "_target_" in config[part]


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_changes_settings_that_exist(name: str) -> None:
    """Hydra adds a key that an experiment misspells: only a comparison with the groups' keys shows it."""
    raw = load("experiment", name)
    words: list[str] = []
    for entry in raw.pop("defaults", []):
        if isinstance(entry, dict):
            words += [f"{key.removeprefix('override /')}={value}" for key, value in entry.items()]
        elif entry != "_self_":  # an experiment that it goes on from
            words.append(f"experiment={entry}")
    plain = composed(*words)
    for group, settings in raw.items():
        known = plain[group] if isinstance(settings, dict) else plain
        assert set(settings if isinstance(settings, dict) else [group]) <= set(known), group
    final = composed(f"experiment={name}")
    for group, settings in raw.items():
        for key, value in settings.items() if isinstance(settings, dict) else ():
            assert final[group][key] == value


@pytest.mark.parametrize(("group", "name"), with_target())
def test_choice_lists_every_scalar_keyword_with_its_default(group: str, name: str) -> None:
    part = load(group, name)
    target = target_of(group, name)
    foreign = part.pop("_target_").startswith("torch.")  # which has more keywords than anybody wants to see
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(target).parameters.items()
        if key not in GIVEN.get(group, set())
    }
    assert set(part) <= set(parameters) if foreign else set(part) == set(parameters)
    for key, value in part.items():
        default = parameters[key].default
        if key in OWN.get(group, set()):
            assert default is inspect.Parameter.empty
        else:
            assert value == default and (foreign or type(value) is type(default)), key


@pytest.mark.parametrize("name", QUERY_SAMPLERS)
def test_sampler_lists_every_option(name: str) -> None:
    own = {"threads", "ahead"}
    assert set(load("sampler", name)) == set(SamplerOptions.__dataclass_fields__) - {"seed"} | own


@pytest.mark.parametrize("name", CLUSTER_SAMPLERS)
def test_sampler_of_clusters_lists_every_option_with_its_default(name: str) -> None:
    assert load("sampler", name) == asdict(ClusterSampling())


@pytest.mark.parametrize("name", choices("trainer"))
def test_trainer_lists_every_setting_of_the_schedule(name: str) -> None:
    part = load("trainer", name)
    form = {"form"} if name in NODE_TRAINERS else set()
    assert set(part) == set(Schedule.__dataclass_fields__) | {"max_epochs"} | form
    assert part["keep"] == Schedule(max_steps=1).keep


def test_trainers_of_nodes_differ_by_their_form_alone() -> None:
    assert (
        [load("trainer", name).pop("form") for name in NODE_TRAINERS] == NODE_TRAINERS == ["compressed", "full_graph"]
    )
    first, second = ({**load("trainer", name), "form": None} for name in NODE_TRAINERS)
    assert first == second


@pytest.mark.parametrize("name", [name for name in choices("graph") if name not in STORES])
def test_named_graph_is_the_one_of_its_name(name: str) -> None:
    part = load("graph", name)
    if part["_target_"] == "graphkit.data.load_query_graph":
        assert QUERY_SETS[part["name"]].graph_name == name
    elif name == "planted":
        assert part["_target_"] == "graphkit.nodes.planted_communities"
    else:
        assert part["name"] == name


def test_every_query_set_has_its_graph_and_every_graph_of_one_exists() -> None:
    assert {published.graph_name for published in QUERY_SETS.values()} <= set(choices("graph"))


# ---- what goes together trains


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return random_graph(30, 3, 150, held_out=8)


@pytest.fixture(scope="module")
def store(graph: KnowledgeGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs") / "random"
    graph.save(folder)
    return folder


@pytest.mark.parametrize("optimizer", choices_of("optimizer", RowOptimizer))
@pytest.mark.parametrize("loss", choices_of("loss", Loss))
@pytest.mark.parametrize("sampler", QUERY_SAMPLERS)
@pytest.mark.parametrize("model", choices_of("model", Model))
def test_choices_that_go_together_train(
    graph: KnowledgeGraph, tmp_path: Path, model: str, sampler: str, loss: str, optimizer: str
) -> None:
    words = [f"model={model}", f"sampler={sampler}", f"loss={loss}", f"optimizer={optimizer}"]
    config = composed(*words, "model.dim=8", "trainer.max_steps=2")
    if (sampler, loss) == ("one_vs_all", "logsigmoid"):
        with pytest.raises(GraphkitError, match="needs negatives and the sampler draws none"):
            start(config, graph, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        return
    trainer = start(config, graph, tmp_path / "run")
    assert trainer.fit().step == 2
    assert 0 < trainer.finish()["test"]["mrr"] <= 1


@pytest.mark.parametrize("model", choices_of("model", Model))
def test_every_model_trains_on_the_queries_that_it_can_embed(graph: KnowledgeGraph, tmp_path: Path, model: str) -> None:
    config = composed(f"model={model}", "task=queries", "sampler=shared", "model.dim=8", "trainer.max_steps=2")
    trainer = start(config, graph, tmp_path / "run")
    trainer.fit()
    measured = trainer.finish()["queries"]["test"]
    assert {"1p", "2p", "2u", "mean_epfo"} <= set(measured)
    assert ("mean_negation" in measured) == ("2in" in measured) == (model == "betae")
    assert all(0 < part["mrr"] <= 1 for part in measured.values())


#: A graph of nodes on which anything trains in a moment.
PLANTED = [
    "graph=planted",
    "graph.nodes=120",
    "graph.edges=300",
    "graph.features=8",
    "graph.communities=6",
    "graph.classes=3",
    "task.splits=2",
    "task.labels_per_class=5",
]


@pytest.mark.parametrize("trainer", NODE_TRAINERS)
@pytest.mark.parametrize("optimizer", choices_of("optimizer", Optimizer))
@pytest.mark.parametrize("sampler", CLUSTER_SAMPLERS)
@pytest.mark.parametrize("loss", choices_of("loss", ContrastiveLoss))
@pytest.mark.parametrize("model", choices_of("model", Encoder))
def test_choices_for_nodes_that_go_together_train(
    tmp_path: Path, model: str, loss: str, sampler: str, optimizer: str, trainer: str
) -> None:
    words = [f"model={model}", f"loss={loss}", f"sampler={sampler}", f"optimizer={optimizer}", f"trainer={trainer}"]
    config = composed("task=contrastive", *words, *PLANTED, "model.dim=8", "trainer.max_epochs=2")
    trained = start(config, load_graph(config), tmp_path / "run")
    assert trained.fit().step == 2
    metrics = trained.finish()
    assert 0 < metrics["probe"]["accuracy_mean"] <= 1
    assert metrics["partition"]["clusters"] == {"compressed": 13, "full_graph": 120}[trainer]


@pytest.mark.parametrize("experiment", [name for name in choices("experiment") if of_nodes(name)])
@pytest.mark.parametrize("trainer", NODE_TRAINERS)
def test_experiment_on_nodes_trains_two_steps_in_both_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], experiment: str, trainer: str
) -> None:
    from graphkit.cli.main import main

    words = [f"experiment={experiment}", *PLANTED, f"trainer={trainer}", f"run_dir={tmp_path / 'run'}"]
    with pytest.raises(SystemExit) as ended:
        main(["train", *words, "task.clusters=12", "trainer.max_steps=2", "model.dim=16"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.json").is_file() and (tmp_path / "run" / "embeddings.parquet").is_file()


@pytest.mark.parametrize("loss", ["sce", "coles", "cca_ssg", "grace"])
def test_quick_experiments_differ_by_the_number_of_encoders_alone(loss: str) -> None:
    whole, quick = (composed(f"experiment=structcomp_cora_{loss}{end}") for end in ("", "_quick"))
    assert (whole["task"].pop("encoders"), quick["task"].pop("encoders")) == (10, 1)
    assert whole == quick
    assert (whole["task"]["splits"], whole["task"]["labels_per_class"], whole["model"]["dim"]) == (50, 20, 512)


@pytest.mark.parametrize("experiment", [name for name in choices("experiment") if not of_nodes(name)])
def test_experiment_trains_two_steps(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], experiment: str
) -> None:
    from graphkit.cli.main import main

    words = [f"experiment={experiment}", f"graph={store}", f"run_dir={tmp_path / 'run'}", "trainer.max_steps=2"]
    config = composed(f"experiment={experiment}")
    if config["sampler"]["negatives"]:
        words.append("sampler.negatives=8")  # the graph of this test has 30 entities
    if config["task"].get("queries"):
        words.append("task.queries=null")  # they were made on the experiment's own graph
    with pytest.raises(SystemExit) as ended:
        main(["train", *words, "model.dim=16"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.json").is_file()
