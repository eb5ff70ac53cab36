"""Checkpoints: any nested state comes back, damage is refused, and nothing half-written is left behind."""

from __future__ import annotations

import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkit import GraphkitError, checkpoint
from graphkit.checkpoint import load_checkpoint, save_checkpoint

STATE = {
    "weights": {"entities": torch.arange(6.0).reshape(2, 3), "model": {"relations": torch.tensor([1.5])}},
    "sampler": {"position": 7},
    "random": [1, 2.5, "text", None, {"deep": [True]}],
    "optimizer": {"steps": torch.tensor([3, 4]), "lr": 0.1, "empty": {}, "none": None},
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        return type(one) is type(other) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one == other


def damaged(path: Path) -> str:
    return f"{path} is damaged: it differs from what was saved; remove {path.parent} and resume from an earlier one"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "step-1", STATE)
    return tmp_path / "step-1"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
names = st.text(st.characters(codec="utf-8"), max_size=4)
tensors = st.builds(
    lambda shape, dtype: torch.arange(int(torch.tensor(shape).prod())).reshape(shape).to(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.uint8]),
)
branches = st.recursive(plain | tensors, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8)


# ------------------------------------------------------------------------------------------------------- round trips


@given(st.dictionaries(st.sampled_from(["weights", "optimizer", "sampler"]), branches, max_size=3))
def test_any_state_comes_back(state: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "step", state)
        assert same(load_checkpoint(Path(folder) / "step"), state)


def test_named_tensors_are_ordinary_safetensors(saved: Path) -> None:
    with safetensors.safe_open(saved / "weights.safetensors", "pt") as file:
        assert set(file.keys()) == {"/entities", "/model/relations"}
    assert sorted(path.name for path in saved.iterdir()) == [
        "optimizer.safetensors",
        "state.json",
        "weights.safetensors",
    ]


def test_a_part_can_be_loaded_without_the_rest(saved: Path) -> None:
    (saved / "optimizer.safetensors").unlink()
    found = load_checkpoint(saved, only=("weights", "sampler"))
    assert same(found, {key: STATE[key] for key in ("weights", "sampler")})


def test_views_parameters_and_transposed_tensors_are_saved_by_value(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    save_checkpoint(
        tmp_path / "c", {"w": {"view": base[1:], "turned": base.clone().T, "p": torch.nn.Parameter(base.clone())}}
    )
    found = load_checkpoint(tmp_path / "c")["w"]
    assert torch.equal(found["view"], base[1:])
    assert torch.equal(found["turned"], base.T)
    assert torch.equal(found["p"], base)
    assert not found["p"].requires_grad


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    tied = torch.arange(4.0)
    save_checkpoint(tmp_path / "c", {"w": {"one": tied, "other": tied, "part": tied[:2]}})
    found = load_checkpoint(tmp_path / "c")["w"]
    assert same(found, {"one": tied, "other": tied, "part": tied[:2]})


def test_slashes_in_names_keep_tensors_apart(tmp_path: Path) -> None:
    state = {"w": {"a/b": torch.zeros(1), "a": {"b": torch.ones(1)}}}
    save_checkpoint(tmp_path / "c", state)
    assert same(load_checkpoint(tmp_path / "c"), state)


def test_the_state_of_an_optimizer_with_many_parameters_comes_back(tmp_path: Path) -> None:
    """torch numbers parameters, and JSON has no integer keys: they may come back as text, but they come back."""
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(12)]
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones(2)
    optimizer.step()
    dense = optimizer.state_dict()["state"]
    save_checkpoint(tmp_path / "c", {"dense": dense, "numbers": {i: i for i in range(12)}})
    found = load_checkpoint(tmp_path / "c")
    assert same({int(key): value for key, value in found["dense"].items()}, dense)
    assert {int(key): value for key, value in found["numbers"].items()} == {i: i for i in range(12)}


# ------------------------------------------------------------------------------------------------------------ damage


def test_every_flipped_byte_of_the_state_is_refused(tmp_path: Path) -> None:
    state = {"w": {"t": torch.ones(1)}, "n": [1, None, -0.5]}
    saved = tmp_path / "c"
    save_checkpoint(saved, state)
    path = saved / "state.json"
    good = path.read_bytes()
    for place, bit in product(range(len(good)), (0, 2, 4)):
        path.write_bytes(good[:place] + bytes([good[place] ^ (1 << bit)]) + good[place + 1 :])
        with pytest.raises(GraphkitError):
            load_checkpoint(saved)
    path.write_bytes(good)
    assert same(load_checkpoint(saved), state)


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors"])
def test_every_flipped_byte_of_the_tensors_is_refused(saved: Path, name: str) -> None:
    path = saved / name
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        with pytest.raises(GraphkitError) as error:
            load_checkpoint(saved)
        assert str(error.value) == damaged(path)


@pytest.mark.parametrize("kept", [0, 10, -1])
@pytest.mark.parametrize("name", ["weights.safetensors", "state.json"])
def test_a_truncated_file_is_refused(saved: Path, name: str, kept: int) -> None:
    path = saved / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GraphkitError) as error:
        load_checkpoint(saved)
    assert str(error.value) == damaged(path)


def test_a_missing_tensor_file_is_refused(saved: Path) -> None:
    (saved / "weights.safetensors").unlink()
    with pytest.raises(GraphkitError) as error:
        load_checkpoint(saved)
    assert str(error.value) == damaged(saved / "weights.safetensors")


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{}", b"\xff", b"null"])
def test_a_state_that_is_none_is_refused(saved: Path, content: bytes) -> None:
    (saved / "state.json").write_bytes(content)
    with pytest.raises(GraphkitError) as error:
        load_checkpoint(saved)
    assert str(error.value) == damaged(saved / "state.json")


def test_a_newer_checkpoint_says_so(saved: Path) -> None:
    header = json.loads((saved / "state.json").read_text())
    header["version"] = 2
    (saved / "state.json").write_text(json.dumps(header))
    with pytest.raises(GraphkitError) as error:
        load_checkpoint(saved)
    assert str(error.value) == f"{saved} was written by a newer graphkit (format 2); install that one"


def test_a_folder_without_a_state_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(GraphkitError) as error:
        load_checkpoint(tmp_path)
    expected = f"{tmp_path} is no checkpoint: it has no state.json; name a folder below a run's checkpoints/"
    assert str(error.value) == expected


def test_nothing_that_is_loaded_can_run_code(saved: Path) -> None:
    """No file is a pickle: the folder holds JSON and safetensors only."""
    assert {path.suffix for path in saved.iterdir()} == {".json", ".safetensors"}
    assert not any(path.read_bytes().startswith((b"\x80", b"PK")) for path in saved.iterdir())


# ----------------------------------------------------------------------------------------------------------- writing


def test_an_existing_checkpoint_is_refused_and_untouched(saved: Path) -> None:
    with pytest.raises(GraphkitError, match=rf"^{saved} exists already; "):
        save_checkpoint(saved, {"sampler": {"position": 8}})
    assert same(load_checkpoint(saved), STATE)


def test_a_full_disk_in_mid_save_leaves_the_older_checkpoint(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file, written = checkpoint.save_file, []

    def fills_up(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if written:
            raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")
        written.append(path)
        save_file(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", fills_up)
    goal = saved.parent / "step-2"
    with pytest.raises(GraphkitError) as error:
        save_checkpoint(goal, STATE)
    assert str(error.value) == (
        f"{goal} was not written: the disk is full; what stood there before is untouched; free some space and try again"
    )
    assert len(written) == 1
    assert [path.name for path in saved.parent.iterdir()] == ["step-1"]
    assert same(load_checkpoint(saved), STATE)


def test_another_error_of_the_tensors_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(tensors: dict[str, torch.Tensor], path: Path) -> None:
        raise safetensors.SafetensorError("I/O error: Input/output error (os error 5)")

    monkeypatch.setattr(checkpoint, "save_file", breaks)
    with pytest.raises(GraphkitError) as error:
        save_checkpoint(tmp_path / "c", STATE)
    assert str(error.value) == (
        f"{tmp_path / 'c'} was not written: I/O error: Input/output error (os error 5); choose another folder or "
        "change its permissions"
    )
    assert list(tmp_path.iterdir()) == []
