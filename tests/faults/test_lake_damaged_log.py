"""A log with a file missing, empty, cut or corrupt: a clear error, and nothing made worse."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from raypipe.core.errors import LakeError
from raypipe.lake import Lake, Table

VERSIONS = 22  # one checkpoint is behind them


def make(root: str, versions: int) -> Table:
    table = Lake(root).table("t")
    for n in range(versions):
        table.append(pl.DataFrame({"n": [n]}), batch_id=str(n))
    return table


def log(table: Table) -> Path:
    return Path(table.uri) / "_delta_log"


def names(table: Table) -> list[str]:
    return sorted(p.relative_to(table.uri).as_posix() for p in Path(table.uri).rglob("*.*"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(128, 228)))


def remove(path: Path) -> None:
    path.unlink()


def every_use(root: str) -> list[Callable[[], object]]:
    """Each by a table object of its own, for one keeps what it read."""
    rows = pl.DataFrame({"n": [77]})
    return [
        lambda: Lake(root).table("t").at().frame(),
        lambda: Lake(root).table("t").append(rows, batch_id="new"),
        lambda: Lake(root).table("t").overwrite(rows),
        lambda: Lake(root).table("t").history(),
        lambda: Lake(root).table("t").has_batch("0"),
    ]


@pytest.mark.parametrize(
    ("damage", "version", "says"),
    [
        (remove, 3, "is missing"),
        (remove, 0, "is missing"),
        (empty, 3, "is empty"),
        (empty, 6, "is empty"),  # the newest one, as a power cut leaves it
        (cut, 3, "line 1 is not JSON"),
        (garbage, 3, "is not text"),
    ],
)
def test_an_entry_of_the_log(
    lake_root: str, damage: Callable[[Path], None], version: int, says: str
) -> None:
    table = make(lake_root, 6)
    path = log(table) / f"{version:020d}.json"
    good = path.read_bytes()
    damage(path)
    before = names(table)
    for use in every_use(lake_root):
        with pytest.raises(LakeError) as caught:
            use()
        assert path.name in str(caught.value)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert names(table) == before  # nor does a failed write leave anything
    path.write_bytes(good)
    assert Lake(lake_root).table("t").append(pl.DataFrame({"n": [6]}), batch_id="new").version == 7
    assert Lake(lake_root).table("t").at().frame()["n"].to_list() == list(range(7))


def test_an_entry_that_becomes_empty_is_met_by_who_follows_the_log(lake_root: str) -> None:
    table = make(lake_root, 3)
    assert table.at().count() == 3
    Lake(lake_root).table("t").append(pl.DataFrame({"n": [3]}))
    empty(log(table) / f"{4:020d}.json")
    with pytest.raises(LakeError, match=f"{4:020d}.json is empty"):
        table.at()


def test_an_old_version_whose_entry_is_corrupt(lake_root: str) -> None:
    table = make(lake_root, 6)
    cut(log(table) / f"{3:020d}.json")
    with pytest.raises(LakeError, match=r"0003\.json, line 1 is not JSON"):
        Lake(lake_root).table("t").at(version=3)
    assert Lake(lake_root).table("t").at(version=2).frame()["n"].to_list() == [0, 1]


@pytest.mark.parametrize("damage", [remove, empty, cut, garbage])
def test_a_checkpoint_and_what_the_error_says_helps(
    lake_root: str, damage: Callable[[Path], None]
) -> None:
    table = make(lake_root, VERSIONS)
    (checkpoint,) = log(table).glob("*.checkpoint.parquet")
    damage(checkpoint)
    for use in every_use(lake_root):
        with pytest.raises(LakeError) as caught:
            use()
    told = str(caught.value)
    act = told.split("Delete ")[1].split(":")[0]
    for name in act.split(" and "):
        (Path(table.uri) / name).unlink()
    fresh = Lake(lake_root).table("t")
    assert fresh.append(pl.DataFrame({"n": [VERSIONS]}), batch_id="new").version == VERSIONS + 1
    assert fresh.append(pl.DataFrame({"n": [0]}), batch_id="0").applied_before
    assert fresh.at().frame()["n"].to_list() == list(range(VERSIONS + 1))


def test_a_checkpoint_of_a_log_that_was_cleaned_up(lake_root: str) -> None:
    table = make(lake_root, VERSIONS)
    (checkpoint,) = log(table).glob("*.checkpoint.parquet")
    good = checkpoint.read_bytes()
    for version in range(int(checkpoint.name[:20])):
        (log(table) / f"{version:020d}.json").unlink()
    cut(checkpoint)
    with pytest.raises(LakeError, match=f"{checkpoint.name} is damaged. Put this file back"):
        Lake(lake_root).table("t").at()
    checkpoint.write_bytes(good)
    assert Lake(lake_root).table("t").at().frame()["n"].to_list() == list(range(VERSIONS))


@pytest.mark.parametrize("text", ["", "{", '{"version": 7, "size": 1}', "null", '{"size": 1}'])
def test_the_hint_at_the_last_checkpoint_is_only_a_hint(lake_root: str, text: str) -> None:
    table = make(lake_root, VERSIONS)
    (log(table) / "_last_checkpoint").write_text(text)
    fresh = Lake(lake_root).table("t")
    assert fresh.at().frame()["n"].to_list() == list(range(VERSIONS))
    assert fresh.append(pl.DataFrame({"n": [VERSIONS]})).version == VERSIONS + 1


def test_a_hint_at_a_checkpoint_that_is_not_there(lake_root: str) -> None:
    table = make(lake_root, VERSIONS)
    (log(table) / "_last_checkpoint").write_text('{"version": 900, "size": 1}')
    with pytest.raises(LakeError, match="names version 900, of which there is no checkpoint"):
        Lake(lake_root).table("t").at()
    (log(table) / "_last_checkpoint").unlink()
    assert Lake(lake_root).table("t").at().count() == VERSIONS


def test_leftovers_of_killed_commits_are_no_entries(lake_root: str) -> None:
    table = make(lake_root, 3)
    for name in (f"{4:020d}.json.tmp", f".{4:020d}.json.1a2b.tmp", f"_commit_{os.getpid()}.json"):
        (log(table) / name).write_text("{half")
    fresh = Lake(lake_root).table("t")
    assert fresh.version() == 3
    assert fresh.append(pl.DataFrame({"n": [3]}), batch_id="3").version == 4
    assert fresh.at().frame()["n"].to_list() == [0, 1, 2, 3]
    assert pl.scan_delta(table.uri).collect().height == 4
