"""Settings without Hydra: where the YAML lies, and ``key=value`` words on the configuration of a run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from graphkit.errors import GraphkitError, did_you_mean

Config = dict[str, Any]

#: What a resumed run may change: how long it goes on, where it computes and with how many threads, and where its graph
#: lies now. Another number of threads, or a GPU, may change the last bits of sums.
RESUME_KEYS = (
    "trainer.max_steps",
    "trainer.max_epochs",
    "trainer.patience",
    "trainer.keep",
    "trainer.threads",
    "engine",
    "graph.path",
    "allow_targets",
)

#: Groups of which another YAML may be chosen for a run that exists.
CHOICES = frozenset({"engine"})


def conf_folder() -> Path:
    """Returns the folder of the YAML files: graphkit/conf in a wheel, conf/ beside the package in a checkout."""
    package = Path(__file__).parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise GraphkitError(
        f"the configuration folder is missing: neither {package / 'conf'} nor {package.parent / 'conf'}"
    )


def config_folders(words: Sequence[str]) -> list[Path]:
    """Returns the folder of the YAML files, and the one that ``--config-dir`` adds."""
    added = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    added += [after for word, after in pairwise(words) if word in ("--config-dir", "-cd")]
    return [conf_folder(), *(Path(folder).absolute() for folder in added)]


def override(config: Config, words: Sequence[str], *, allowed: Sequence[str]) -> Config:
    """Returns a run's configuration with ``key=value`` words applied; values are YAML.

    A choice of a group (``engine=gpu``) is made before settings within it, wherever it stands among the words.

    Raises:
        GraphkitError: a word is no setting, its key is not allowed or its value cannot be read.
    """
    changed = copy.deepcopy(config)
    for word in words:
        if "=" not in word:
            raise GraphkitError(f"{word!r} is no setting; write key=value")
    given = [word.partition("=")[::2] for word in words]
    for group, name in given:
        if group in CHOICES and group in allowed:
            changed[group] = _choice(group, name)
    settings = [*allowed]
    for group in CHOICES.intersection(allowed):
        settings += flat_keys(changed.get(group, {}), f"{group}.")
    for key, value in given:
        if key not in settings:
            raise GraphkitError(
                f"{key!r} cannot be set here{did_you_mean(key, settings)}; settings: {', '.join(settings)}"
            )
        if key not in CHOICES:
            _set(changed, key, value)
    return changed


def _set(config: Config, key: str, value: str) -> None:
    *path, last = key.split(".")
    part = config
    for name in path:
        part = part[name]
    try:
        part[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise GraphkitError(f"{key} is {value!r}, which is no value; write it as in YAML") from None


def _choice(group: str, name: str) -> Config:
    """Returns the settings that a choice of a group stands for.

    Raises:
        GraphkitError: there is no such choice.
    """
    names = sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))
    if name not in names:
        raise GraphkitError(f"there is no {group} {name!r}{did_you_mean(name, names)}; allowed: {', '.join(names)}")
    settings: Config = yaml.safe_load((conf_folder() / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return settings


def flat_keys(config: Config, prefix: str = "") -> Iterator[str]:
    """Yields the dotted names of all settings."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flat_keys(value, f"{prefix}{key}.")
        elif key != "_target_":
            yield f"{prefix}{key}"
