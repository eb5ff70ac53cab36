"""Checkpoints: safetensors beside one JSON file, written whole or not at all, and checked when read. No pickle."""

from __future__ import annotations

import errno
import json
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from graphkit.atomic import new_folder
from graphkit.errors import GraphkitError

FORMAT = "graphkit-checkpoint"
VERSION = 1
STATE = "state.json"

#: What is saved: nested dictionaries with tensors or plain JSON values as leaves.
State = dict[str, Any]


def save_checkpoint(folder: Path, state: State) -> None:
    """Writes `state` into a new folder: the tensors of each top-level key as ``KEY.safetensors``, the rest as JSON.

    Raises:
        GraphkitError: the folder exists, or cannot be written (disk full, permissions).
    """
    with new_folder(folder) as part:
        values: dict[str, Any] = {}
        checksums: dict[str, int] = {}
        for key, branch in state.items():
            tensors: dict[str, torch.Tensor] = {}
            values[key] = _split(branch, "", tensors)
            if tensors:
                path = part / f"{key}.safetensors"
                try:
                    save_file(tensors, path)
                except SafetensorError as error:
                    code = errno.ENOSPC if "No space left" in str(error) else errno.EIO
                    raise OSError(code, str(error)) from error
                checksums[path.name] = _file_crc(path)
        header = {"format": FORMAT, "version": VERSION, "files": checksums, "values": values}
        header["checksum"] = _seal(header)
        (part / STATE).write_text(json.dumps(header), encoding="utf-8")


def load_checkpoint(folder: Path, *, only: tuple[str, ...] | None = None) -> State:
    """Reads what `save_checkpoint` wrote, or the top-level keys in `only`.

    Raises:
        GraphkitError: no checkpoint there, a newer version, or a damaged file.
    """
    path = folder / STATE
    if not path.is_file():
        raise GraphkitError(f"{folder} is no checkpoint: it has no {STATE}; name a folder below a run's checkpoints/")
    try:
        header = json.loads(path.read_bytes())
        stated = header.pop("checksum")
        newer = header["format"] == FORMAT and header["version"] > VERSION
        values = header["values"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path) from None
    if newer:
        raise GraphkitError(f"{folder} was written by a newer graphkit (format {header['version']}); install that one")
    if stated != _seal(header):
        raise _damaged(path)
    state: State = {}
    for key in values if only is None else only:
        file = folder / f"{key}.safetensors"
        tensors = _load_tensors(file, header["files"][file.name]) if file.name in header["files"] else {}
        state[key] = _join(values[key], "", tensors)
    return state


def _load_tensors(file: Path, crc: int) -> dict[str, torch.Tensor]:
    if not file.is_file() or _file_crc(file) != crc:
        raise _damaged(file)
    try:
        return load_file(file)
    except SafetensorError:
        raise _damaged(file) from None


def _split(branch: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Moves the tensors of a nested dictionary into `tensors`, each leaving None in its place."""
    if isinstance(branch, torch.Tensor):
        # A copy of what another name holds already: safetensors refuses tensors that share memory.
        shared = any(
            branch.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() for other in tensors.values()
        )
        tensors[path] = branch.detach().clone() if shared else branch.detach().contiguous()
        return None
    if isinstance(branch, dict):
        return {key: _split(value, _below(path, key), tensors) for key, value in branch.items()}
    return branch


def _join(branch: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if path in tensors:
        return tensors[path]
    if isinstance(branch, dict):
        return {key: _join(value, _below(path, key), tensors) for key, value in branch.items()}
    return branch


def _below(path: str, key: Any) -> str:
    escaped = str(key).replace("~", "~0").replace("/", "~1")
    return f"{path}/{escaped}"


def _file_crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(16 * 2**20):
            value = zlib.crc32(block, value)
    return value


def _seal(header: dict[str, Any]) -> int:
    header = json.loads(json.dumps(header))  # keys become texts, in whose order the sealed bytes stand when read
    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def _damaged(path: Path) -> GraphkitError:
    return GraphkitError(
        f"{path} is damaged: it differs from what was saved; remove {path.parent} and resume from an earlier one"
    )
