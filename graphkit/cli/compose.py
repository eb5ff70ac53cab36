"""Configurations: composed by Hydra from conf/."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from graphkit.cli.complaints import RunConfig, sentence
from graphkit.cli.settings import Config, conf_folder, config_folders
from graphkit.errors import GraphkitError, did_you_mean

#: The choice of graph that opens a folder, by the file that marks the folder.
_STORES = {"store": "graph.json", "node_store": "nodes.json"}


def compose_and_run(words: Sequence[str], job: Callable[[Config, str], int]) -> int:
    """Lets Hydra read the line of ``train``, and runs `job` for each configuration that it asks for.

    Args:
        words: the line after ``train``: Hydra's flags and overrides.
        job: is given the configuration and a name for the run; returns an exit code.

    Returns:
        The largest exit code; a job that fails or is interrupted is the last.

    Raises:
        GraphkitError: an override is wrong, or a job raised it.
    """
    ConfigStore.instance().store(name="run_config", node=RunConfig)
    codes = [0]
    errors: list[BaseException] = []

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")
    def run(composed: DictConfig) -> None:
        if errors or max(codes) > 0:
            return
        try:
            config = to_plain(composed)
            codes.append(job(config, _run_name(config)))
        except BaseException as error:  # Hydra would wrap and print it; it is raised again below
            errors.append(error)

    line = [part for word in words for part in _graph_overrides(word, words)]
    with _hydra_line(line):
        try:
            run()
            if errors:
                raise errors[0]
        except GraphkitError:
            raise
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            if errors and not isinstance(error, OmegaConfBaseException):
                raise  # of a job, not of its configuration
            raise sentence(error, line) from error
    return max(codes)


def to_plain(composed: DictConfig) -> Config:
    """Returns a configuration as plain dictionaries, interpolations resolved."""
    plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _run_name(config: Config) -> str:
    """Returns a name for a run without run_dir: its experiment, or its graph and model."""
    choices = dict(HydraConfig.get().runtime.choices)  # a group that was deleted (~model) has none
    graph = Path(config["graph"]["path"]).name if choices.get("graph") in _STORES else choices.get("graph")
    return str(choices.get("experiment") or f"{graph}-{choices.get('model')}")


def _graph_overrides(word: str, words: Sequence[str]) -> list[str]:
    """Rewrites ``graph=FOLDER`` to the choice that opens it with its path, unless a configuration has that name."""
    if not word.startswith("graph="):
        return [word]
    name = word.removeprefix("graph=")
    folders = [folder / "graph" for folder in config_folders(words)]
    if any((folder / f"{name}.yaml").is_file() for folder in folders):
        return [word]
    for choice, header in _STORES.items():
        if (Path(name) / header).is_file():
            path = str(Path(name).absolute()).replace("\\", "\\\\").replace("'", "\\'")
            return [f"graph={choice}", f"graph.path='{path}'"]
    if "," in name:  # a sweep over named graphs
        return [word]
    found = [path.relative_to(folder) for folder in folders for path in folder.rglob("*.yaml")]
    names = sorted(path.with_suffix("").as_posix() for path in found)
    what = "exists but is no graph store" if Path(name).exists() else "is neither a named graph nor a folder"
    raise GraphkitError(
        f"graph={name} {what}{did_you_mean(name, names)}; named graphs: {', '.join(names)}; a folder is made by "
        "graphkit data import (or import-nodes)"
    )


@contextmanager
def _hydra_line(words: Sequence[str]) -> Iterator[None]:
    """Gives Hydra its line through sys.argv, and its exceptions to us instead of to its own printer."""
    before, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["graphkit train", *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full
