"""Files: whole or not at all, and never outside of the lake."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, LakeAccessError
from raypipe.lake import Lake


@pytest.mark.parametrize(
    "bad", ["", "/etc/x", "../x", "a/../../x", "a\\b", "t/_delta_log/0", "./a"]
)
def test_paths_stay_in_the_lake(lake_root: str, bad: str) -> None:
    files = Lake(lake_root).files
    for act in (lambda: files.put(bad, b""), lambda: files.get(bad), lambda: files.delete(bad)):
        with pytest.raises(ConfigError, match="path"):
            act()
    assert not Path(lake_root).exists()


def test_files_do_not_reach_into_tables(lake_root: str) -> None:
    lake = Lake(lake_root)
    lake.table("t").append(pl.DataFrame({"a": [1]}))
    for act in (lambda: lake.files.delete("t"), lambda: lake.files.put("t/x", b"")):
        with pytest.raises(ConfigError, match="table"):
            act()
    assert lake.table("t").at().count() == 1


def test_a_failed_put_leaves_the_old_file(lake_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Lake(lake_root).files
    files.put("a/b", b"old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LakeAccessError, match="No space left"):
        files.put("a/b", b"new")
    assert files.get("a/b") == b"old"
    assert [p.name for p in Path(lake_root, "a").iterdir()] == ["b"]


def test_delete_takes_a_folder(lake_root: str) -> None:
    files = Lake(lake_root).files
    files.put("m/1/a", b"")
    files.put("m/10/a", b"")
    files.delete("m/1")
    assert files.list("m") == ["m/10/a"]
    files.delete("m/1")
