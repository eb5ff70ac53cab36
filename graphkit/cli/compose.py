"""Configurations: composed by Hydra from conf/, and its complaints turned into sentences."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from graphkit.errors import GraphkitError, did_you_mean, nearest

Config = dict[str, Any]

#: What a resumed run may change: how long it goes on, not what it computes.
RESUME_KEYS = ("trainer.max_steps", "trainer.max_epochs", "trainer.patience", "trainer.keep", "trainer.threads")


def conf_folder() -> Path:
    """Returns the folder of the YAML files: graphkit/conf in a wheel, conf/ beside the package in a checkout."""
    package = Path(__file__).parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise GraphkitError(
        f"the configuration folder is missing: neither {package / 'conf'} nor {package.parent / 'conf'}"
    )


@dataclass
class RunConfig:
    """The typed skeleton of a run: its groups, and the keys at the root."""

    task: Any = None
    graph: Any = None
    sampler: Any = None
    model: Any = None
    loss: Any = None
    optimizer: Any = None
    trainer: Any = None
    seed: int = 0
    run_dir: str | None = None
    resume: str | None = None
    overwrite: bool = False
    allow_targets: list[str] = field(default_factory=list)


#: What a root key needs, by the type that it has above; all others are texts.
_ROOT_TYPES = {"int": "a whole number", "bool": "true or false", "list[str]": "a list such as [my_package.]"}


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
            raise _sentence(error, line) from error
    return max(codes)


def to_plain(composed: DictConfig) -> Config:
    """Returns a configuration as plain dictionaries, interpolations resolved."""
    plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def override(config: Config, words: Sequence[str], *, allowed: Sequence[str] | None = None) -> Config:
    """Returns a run's configuration with ``key=value`` words applied.

    Raises:
        GraphkitError: a word is no override, or its key is unknown or not allowed.
    """
    changed = OmegaConf.create(config)
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            raise GraphkitError(f"{word!r} is no setting; write key=value")
        known = allowed if allowed is not None else list(_flat_keys(config))
        if key not in known:
            raise GraphkitError(f"{key!r} cannot be set here{did_you_mean(key, known)}; settings: {', '.join(known)}")
        OmegaConf.update(changed, key, OmegaConf.from_dotlist([f"v={value}"]).v)
    return to_plain(changed)


def _run_name(config: Config) -> str:
    """Returns a name for a run without run_dir: its experiment, or its graph and model."""
    choices = dict(HydraConfig.get().runtime.choices)  # a group that was deleted (~model) has none
    graph = Path(config["graph"]["path"]).name if choices.get("graph") == "store" else choices.get("graph")
    return str(choices.get("experiment") or f"{graph}-{choices.get('model')}")


def _config_folders(words: Sequence[str]) -> list[Path]:
    """Returns the folder of the YAML files, and the one that ``--config-dir`` adds."""
    added = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    added += [after for word, after in pairwise(words) if word in ("--config-dir", "-cd")]
    return [conf_folder(), *(Path(folder).absolute() for folder in added)]


def _graph_overrides(word: str, words: Sequence[str]) -> list[str]:
    """Rewrites ``graph=FOLDER`` to ``graph=store graph.path=FOLDER``, unless a configuration has that name."""
    if not word.startswith("graph="):
        return [word]
    name = word.removeprefix("graph=")
    folders = [folder / "graph" for folder in _config_folders(words)]
    if any((folder / f"{name}.yaml").is_file() for folder in folders):
        return [word]
    if (Path(name) / "graph.json").is_file():
        path = str(Path(name).absolute()).replace("\\", "\\\\").replace("'", "\\'")
        return ["graph=store", f"graph.path='{path}'"]
    if "," in name:  # a sweep over named graphs
        return [word]
    found = [path.relative_to(folder) for folder in folders for path in folder.rglob("*.yaml")]
    names = sorted(path.with_suffix("").as_posix() for path in found)
    what = "exists but is no graph store" if Path(name).exists() else "is neither a named graph nor a folder"
    raise GraphkitError(
        f"graph={name} {what}{did_you_mean(name, names)}; named graphs: {', '.join(names)}; a folder is made by "
        "graphkit data import"
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


def _sentence(error: Exception, words: Sequence[str]) -> GraphkitError:
    """Turns a complaint of Hydra or OmegaConf into one sentence with what is allowed."""
    text = str(error)
    if missing := re.search(r"Could not find '([^']+)'", text):
        group, _, name = missing[1].rpartition("/")
        listed = re.search(r"Available options in '[^']*':\n(.*?)(?:\n\n|\Z|\nConfig search)", text, re.DOTALL)
        options = [line.strip() for line in listed[1].splitlines()] if listed else []
        return GraphkitError(
            f"there is no {group} {name!r}{did_you_mean(name, options)}; allowed: {', '.join(options) or 'none'}"
        )
    if unknown := re.search(r"Could not override '([^']+)'", text):
        composed = _composed_groups(words)
        near = nearest(unknown[1], [*([] if "." in unknown[1] else composed), *_flat_keys(composed)])
        return GraphkitError(
            f"there is no setting {unknown[1]!r}; "
            + (f"nearest: {', '.join(near)}" if near else "graphkit train --cfg job shows all settings")
        )
    if unset := re.search(r"Missing mandatory value: .*?\n\s*full_key: (\S+)", text, re.DOTALL):
        instead = "graph=FOLDER or " if unset[1] == "graph.path" else ""
        return GraphkitError(f"{unset[1]} has no value and needs one; give {instead}{unset[1]}=VALUE")
    if mistyped := re.search(r"Error merging override ([^=]+)=(.*)", text):
        kinds = {field.name: _ROOT_TYPES.get(str(field.type), "a text") for field in fields(RunConfig)}
        needed = kinds.get(mistyped[1], "one of the settings that graphkit train --cfg job shows")
        return GraphkitError(f"{mistyped[1]} is {mistyped[2]}, and {needed} is needed")
    if located := re.search(r"(.*?)\n\s*full_key: (\S+)", text, re.DOTALL):
        return GraphkitError(f"{located[2]} is wrong: {located[1].splitlines()[0]}; graphkit train --cfg job shows all")
    if "Config group override" in text:
        return GraphkitError("a group takes the name of a choice, e.g. model=complex; graphkit train --help lists them")
    plain = re.sub(r"\s*See https?://\S+ for details", "", " ".join(text.split()))
    return GraphkitError(
        f"the settings cannot be read: {plain}; write each as key=value, in single quotes where a value has blanks, "
        "commas or brackets"
    )


def _composed_groups(words: Sequence[str]) -> Config:
    """Composes what the line's choices of groups give, without its single settings."""
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    choices = [word for word in words if word.partition("=")[0] in groups]
    folders = ",".join(f"'file://{folder}'" for folder in _config_folders(words)[1:])
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        try:
            composed = hydra.compose("train", overrides=[f"hydra.searchpath=[{folders}]", *choices])
        except (HydraException, OmegaConfBaseException):
            composed = hydra.compose("train")
    plain = OmegaConf.to_container(composed)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _flat_keys(config: Config, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat_keys(value, f"{prefix}{key}.")
        elif key != "_target_":
            yield f"{prefix}{key}"
