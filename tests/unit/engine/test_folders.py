"""Sweeping touches only what an earlier process of this user left behind."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from raypipe.engine import folders
from raypipe.training.tuning.prepared import NodeFolder


def _left_behind(folder: Path) -> Path:
    """A folder as its killed owner leaves it, long ago."""
    folder.mkdir()
    lock = folder / "owner.lock"
    lock.touch()
    os.utime(lock, (time.time() - 600, time.time() - 600))
    return folder


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = tmp_path / "base"
    base.mkdir()
    monkeypatch.setattr(folders, "_base", lambda: base)
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    return base


def test_only_folders_whose_owner_is_gone_are_swept(base: Path) -> None:
    gone = _left_behind(base / "raypipe-gone")
    _left_behind(base / "other")
    alive = folders.OwnedFolder.create()
    os.utime(Path(alive.path) / "owner.lock", (time.time() - 600, time.time() - 600))
    assert folders.sweep() == [str(gone)]
    assert sorted(path.name for path in base.iterdir()) == ["other", Path(alive.path).name]
    alive.remove()


def test_rows_of_a_killed_search_are_swept_where_they_lie(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too long a place for what Ray needs, and so not the base."""
    long = tmp_path / ("long" * 10)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    rows = NodeFolder("killed")
    assert rows.path.parent == long
    os.utime(rows.path / "owner.lock", (time.time() - 600, time.time() - 600))
    gone = _left_behind(base / "raypipe-gone")
    assert set(folders.sweep()) == {str(gone), str(rows.path)}
    rows.close()


def test_a_folder_of_another_user_is_not_touched(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = _left_behind(base / "raypipe-theirs")
    opened: list[object] = []
    plain, user = os.open, os.getuid()

    def record(path: str, flags: int, mode: int = 0o777) -> int:
        opened.append(path)
        return plain(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: user + 1)
        patch.setattr(os, "open", record)
        assert folders.sweep() == []
    assert opened == []
    assert (theirs / "owner.lock").exists()


def test_links_are_not_followed(base: Path, tmp_path: Path) -> None:
    target = _left_behind(tmp_path / "target")
    (base / "raypipe-link").symlink_to(target)
    inner = base / "raypipe-inner"
    inner.mkdir()
    (inner / "owner.lock").symlink_to(target / "owner.lock")
    assert folders.sweep() == []
    assert sorted(path.name for path in base.iterdir()) == ["raypipe-inner", "raypipe-link"]
    assert (target / "owner.lock").exists()
