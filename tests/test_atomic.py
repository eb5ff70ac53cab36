"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from graphkit import GraphkitError
from graphkit.atomic import new_file, new_folder, write_text


def tree(folder: Path) -> dict[str, str]:
    """All files below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    goal = tmp_path / "goal"
    (goal / "deep").mkdir(parents=True)
    (goal / "deep" / "file").write_text("old")
    return goal


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    with new_folder(tmp_path / "new" / "goal") as part:
        (part / "sub").mkdir()
        (part / "sub" / "file").write_text("new")
        assert not (tmp_path / "new" / "goal").exists()
    assert tree(tmp_path) == {"new/goal/sub/file": "new"}


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_a_folder_whose_block_fails_never_appears_and_the_error_is_kept(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, new_folder(tmp_path / "goal") as part:
        (part / "file").write_text("half")
        raise error
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused(old: Path) -> None:
    with pytest.raises(GraphkitError) as error, new_folder(old):
        pass
    assert str(error.value) == f"{old} exists already; choose another folder or say overwrite (--overwrite)"
    assert tree(old.parent) == {"goal/deep/file": "old"}


def test_overwrite_replaces_the_folder_whole(old: Path) -> None:
    with new_folder(old, overwrite=True) as part:
        (part / "file").write_text("new")
        assert tree(old) == {"deep/file": "old"}
    assert tree(old.parent) == {"goal/file": "new"}


def test_a_failed_overwrite_leaves_the_old_folder(old: Path) -> None:
    with pytest.raises(ValueError, match="mine"), new_folder(old, overwrite=True) as part:
        (part / "file").write_text("half")
        raise ValueError("mine")
    assert tree(old.parent) == {"goal/deep/file": "old"}


def test_a_failed_rename_leaves_the_old_folder(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if ".part-" in path.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(GraphkitError), new_folder(old, overwrite=True) as part:
        (part / "file").write_text("new")
    assert tree(old.parent) == {"goal/deep/file": "old"}


def test_what_a_killed_process_left_under_the_same_name_is_no_obstacle(old: Path) -> None:
    for kind in ("part", "old"):
        left = old.parent / f".goal.{kind}-{os.getpid()}"
        left.mkdir()
        (left / "rubbish").write_text("half")
    with new_folder(old, overwrite=True) as part:
        assert list(part.iterdir()) == []
        (part / "file").write_text("new")
    assert tree(old) == {"file": "new"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_folder(old: Path, code: int) -> None:
    with pytest.raises(GraphkitError) as error, new_folder(old, overwrite=True) as part:
        (part / "file").write_text("half")
        raise OSError(code, os.strerror(code))
    assert str(error.value) == (
        f"{old} was not written: the disk is full; what stood there before is untouched; free some space and try again"
    )
    assert tree(old.parent) == {"goal/deep/file": "old"}


def test_another_error_of_the_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GraphkitError) as error, new_folder(tmp_path / "file" / "goal"):
        pass
    goal = tmp_path / "file" / "goal"
    assert (
        str(error.value) == f"{goal} was not written: Not a directory; choose another folder or change its permissions"
    )


def test_text_replaces_text(tmp_path: Path) -> None:
    goal = tmp_path / "file"
    for text in ("first", "zwölf – ×\n"):
        write_text(goal, text)
        assert goal.read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_text_on_a_full_disk_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goal = tmp_path / "file"
    write_text(goal, "old")

    def full(path: Path, text: str, encoding: str) -> int:
        path.write_bytes(text.encode(encoding)[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(GraphkitError, match=rf"^{goal} was not written: the disk is full; what stood there before"):
        write_text(goal, "new")
    assert goal.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_text_below_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphkitError) as error:
        write_text(tmp_path / "none" / "file", "text")
    assert str(error.value) == (
        f"{tmp_path / 'none' / 'file'} was not written: No such file or directory; choose another folder or change its "
        "permissions"
    )


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    goal = tmp_path / "file"
    goal.write_bytes(b"old")
    (tmp_path / f".file.part-{2**30}").write_bytes(b"of a process that was killed")
    with new_file(goal) as part:
        part.write_bytes(b"new")
        assert goal.read_bytes() == b"old"
    assert tree(tmp_path) == {"file": "new"}


def test_a_file_whose_block_fails_stays_as_it_was(tmp_path: Path) -> None:
    goal = tmp_path / "file"
    goal.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), new_file(goal) as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"file": "old"}
