"""From a part of a configuration to its object: ``_target_`` names the class that the other keys are keywords of.

A configuration can come from anywhere, so it may name only what makes an object of the kind that is asked for, in
graphkit or in a package that the person at the keyboard allows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import Tensor

from graphkit.errors import GraphkitError, did_you_mean

#: Packages that a configuration may name, unless `allow_targets` says more.
ALLOWED_TARGETS = ("graphkit.",)
#: Packages that a group may name besides.
ALLOWED_IN_GROUP = {"optimizer": ("torch.optim.",)}

Config = dict[str, Any]
Kind = TypeVar("Kind")

#: What a value in YAML may be for a keyword of each type, and its name; other types are left to their constructors.
_SCALARS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
    str: ((str,), "a text"),
    Path: ((str,), "a text"),
    NoneType: ((NoneType,), "null"),
}


def build(config: Config, group: str, kind: type[Kind], *, advice: str | None = None, **extra: Any) -> Kind:
    """Calls what the ``_target_`` of a group names, with the group's other keys and `extra` as keywords.

    Args:
        config: the configuration; its ``allow_targets`` are obeyed.
        group: the key of the part, e.g. ``model``.
        kind: what the target must make: a subclass, or a function that says it returns one.
        advice: what to do where it makes something else; by default, to choose another of the group.
        extra: keywords that no configuration holds, such as the graph.

    Raises:
        GraphkitError: the target is not allowed, does not exist or makes something else, or a keyword is unknown,
            missing or of a wrong type.
    """
    target = find_target(config, group, kind, advice=advice)
    keywords = _keywords(config, group, target, given=extra)
    try:
        inspect.signature(target).bind(**keywords, **extra)
    except TypeError as error:
        raise _cannot_make(config, group, error) from None
    return target(**keywords, **extra)  # type: ignore[no-any-return]  # of the kind that was just checked


def bind(
    config: Config, group: str, kind: type[Kind], *, given: Sequence[str], advice: str | None = None
) -> Callable[..., Kind]:
    """Returns a factory of what the ``_target_`` of a group names, for parts that need what is made later.

    Args:
        config: the configuration; its ``allow_targets`` are obeyed.
        group: the key of the part, e.g. ``optimizer``.
        kind: what the target must make.
        given: names of the arguments that the factory is called with, in their order.
        advice: as for `build`.

    Raises:
        GraphkitError: as `build` does; the factory raises one where the target refuses a value.
    """
    target = find_target(config, group, kind, advice=advice)
    keywords = _keywords(config, group, target, given=given)

    def make(*arguments: Any) -> Kind:
        try:
            return target(**dict(zip(given, arguments, strict=True)), **keywords)  # type: ignore[no-any-return]
        except (TypeError, ValueError) as error:  # how classes that are not ours refuse a value
            raise _cannot_make(config, group, error) from error

    return make


def find_target(config: Config, group: str, kind: type[Any], *, advice: str | None = None) -> Callable[..., Any]:
    """Returns what the ``_target_`` of a group names: a class, or a function; see `build`."""
    target = named_target(config, group)
    made = made_kind(target)
    if made is None or not issubclass(made, kind):
        name = config[group]["_target_"]
        raise GraphkitError(
            f"{group}._target_ is {name}, which makes no {kind.__name__}; {advice or f'choose {group}=NAME'}"
        )
    return target


def named_target(config: Config, group: str) -> Callable[..., Any]:
    """Returns what the ``_target_`` of a group names, of whatever kind."""
    part = config.get(group)
    if not isinstance(part, dict) or "_target_" not in part:
        raise GraphkitError(f"{group} is {shown(part)}, and a part with a _target_ is needed; choose {group}=NAME")
    return _resolve(part["_target_"], (*ALLOWED_IN_GROUP.get(group, ()), *(config.get("allow_targets") or ())))


def made_kind(target: Callable[..., Any]) -> type | None:
    """Returns the class of what a target makes: itself, or what a function says it returns; None where that is open."""
    made = target if isinstance(target, type) else _hints(target).get("return")
    return made if isinstance(made, type) else None


def _keywords(config: Config, group: str, target: Callable[..., Any], given: Collection[str]) -> Config:
    """Returns the keywords that a group gives its target, with names and types checked against its signature."""
    keywords = {key: value for key, value in config[group].items() if key != "_target_"}
    parameters = inspect.signature(target).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        hints = _hints(target)
        check_settings(group, keywords, {key: hints.get(key, Any) for key in parameters if key not in given})
    return keywords


def _cannot_make(config: Config, group: str, error: Exception) -> GraphkitError:
    name = config[group]["_target_"]
    return GraphkitError(f"{group} cannot be made by {name}: {error}; choose another {group} or _target_")


def check_settings(group: str, settings: Config, hints: Mapping[str, Any]) -> None:
    """Compares the settings of a group with the names and types that it has.

    Raises:
        GraphkitError: a name is unknown, or a scalar is of another type.
    """
    for key, value in settings.items():
        if key not in hints:
            listed = ", ".join(hints) or "none"
            raise GraphkitError(f"{group} has no setting {key!r}{did_you_mean(key, hints)}; settings: {listed}")
        hint = hints[key]
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        kinds = tuple(kind for kind in kinds if kind is not Tensor)  # no value in YAML is one
        if (
            kinds
            and all(kind in _SCALARS for kind in kinds)
            and not any(type(value) in _SCALARS[kind][0] for kind in kinds)
        ):
            wanted = " or ".join(dict.fromkeys(_SCALARS[kind][1] for kind in kinds))
            raise GraphkitError(f"{group}.{key} is {shown(value)}, and {wanted} is needed")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    except NameError:  # names that a class of the user's imports for type checkers only
        return {}


def shown(value: Any) -> str:
    """Returns a setting as it stands in YAML."""
    return "null" if value is None else repr(value)


def _resolve(name: str, allow: Sequence[str]) -> Callable[..., Any]:
    allowed = (*ALLOWED_TARGETS, *allow)
    if not name.startswith(allowed):
        raise GraphkitError(
            f"the target {name} is outside of {', '.join(allowed)}; a configuration can run any code it names, so say "
            f"allow_targets=[{name.split('.')[0]}.] if you trust it"
        )
    found = _find(name)
    # Modules lead to other modules (graphkit.x.subprocess.run), so what counts is where the object itself is from.
    origin = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    if not callable(found) or not origin.startswith(allowed):
        raise GraphkitError(f"the target {name} does not exist; check its spelling and that its package is installed")
    return found  # type: ignore[no-any-return]  # callable() has just said so


def _find(name: str) -> Any:
    """Returns the object of a dotted name, or None: the longest part that is a module, then attributes."""
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:split]))
        except ModuleNotFoundError as error:
            if error.name is None or not ".".join(parts[:split]).startswith(error.name):
                raise
            continue
        for part in parts[split:]:
            found = getattr(found, part, None)
        return found
    return None
