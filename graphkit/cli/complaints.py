"""What Hydra and OmegaConf complain of, as one sentence with what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from graphkit.cli.settings import Config, conf_folder, config_folders, flat_keys
from graphkit.errors import GraphkitError, did_you_mean, nearest


@dataclass
class RunConfig:
    """The typed skeleton of a run: its groups, and the keys at the root."""

    task: Any = None
    graph: Any = None
    sampler: Any = None
    model: Any = None
    loss: Any = None
    optimizer: Any = None
    engine: Any = None
    trainer: Any = None
    seed: int = 0
    run_dir: str | None = None
    resume: str | None = None
    overwrite: bool = False
    allow_targets: list[str] = field(default_factory=list)


#: What a root key needs, by the type that it has above; all others are texts.
_ROOT_TYPES = {"int": "a whole number", "bool": "true or false", "list[str]": "a list such as [my_package.]"}


def sentence(error: Exception, words: Sequence[str]) -> GraphkitError:
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
        near = nearest(unknown[1], [*([] if "." in unknown[1] else composed), *flat_keys(composed)])
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
    folders = ",".join(f"'file://{folder}'" for folder in config_folders(words)[1:])
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        try:
            composed = hydra.compose("train", overrides=[f"hydra.searchpath=[{folders}]", *choices])
        except (HydraException, OmegaConfBaseException):
            composed = hydra.compose("train")
    plain = OmegaConf.to_container(composed)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
