"""What a power cut may not take: bytes before names, names before the entry that tells of them."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from raypipe.lake import Lake

FRAME = pl.DataFrame({"a": range(40), "p": [k % 4 for k in range(40)]})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is forced to disk and what gets its name, in order: ("sync" or "name", path)."""
    made: list[tuple[str, str]] = []
    fsync, rename, link = os.fsync, Path.replace, os.link

    def note_sync(handle: int) -> None:
        made.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def note_rename(path: Path, target: Path) -> Path:
        made.append(("name", str(target)))
        return rename(path, target)

    def note_link(path: Path, target: Path) -> None:
        made.append(("name", str(target)))
        link(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    monkeypatch.setattr(os, "link", note_link)
    return made


def entry(calls: list[tuple[str, str]]) -> int:
    """When the newest entry of the log got its name."""
    return max(k for k, (what, path) in enumerate(calls) if what == "name" and "_log" in path)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names of handles come from /proc")
@pytest.mark.parametrize("partition_by", [(), ("p",)])
@pytest.mark.parametrize("what", ["append", "merge"])
def test_names_are_on_disk_before_the_entry(
    tmp_path: Path, calls: list[tuple[str, str]], partition_by: tuple[str, ...], what: str
) -> None:
    table = Lake(str(tmp_path)).table("t", partition_by=partition_by)
    table.append(FRAME)
    sources = []
    for k in range(3):
        sources.append(str(tmp_path / f"{k}.parquet"))
        FRAME.with_columns(pl.col("a") + 100 * k).write_parquet(sources[-1])
    calls.clear()
    if what == "append":
        table.append(sources, run_on="local")
    else:
        table.merge(FRAME.with_columns(pl.col("a") + 20), on="a")
    told = entry(calls)
    names = [(k, path) for k, (done, path) in enumerate(calls) if done == "name" and k != told]
    assert names
    assert all(k < told for k, _ in names)
    for k, path in names:
        folder = str(Path(path).parent)
        synced = [j for j, call in enumerate(calls) if call == ("sync", folder) and k < j < told]
        assert len(synced) == 1, path  # once for all files of a folder
        # The bytes were forced to disk under the temporary name, before the file got its own.
        parts = [p for done, p in calls[:k] if done == "sync" and p.endswith(".tmp")]
        assert any(Path(p).name.startswith(f".{Path(path).name}.") for p in parts)
    log = str(tmp_path / "t" / "_delta_log")
    assert calls[-1] == ("sync", log)  # and the entry's own name before the call returns


def test_a_folder_that_is_gone_is_told_by_who_looks_for_its_files(tmp_path: Path) -> None:
    from raypipe.lake.storage.store import open_store

    store = open_store(str(tmp_path), None)
    store.keep_names(["gone/a", "gone/b"])
    assert store.sizes(["gone/a"]) == {}
