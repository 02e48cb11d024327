"""Many writers at once: every batch once, no append lost, one maker of a table."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import CommitConflictError
from raypipe.lake import Lake, expect


def test_sixteen_writers_with_eight_batches(lake_root: str) -> None:
    def write(number: int) -> bool:
        batch = number % 8
        table = Lake(lake_root).table("t", expect=[expect.between("a", 0, 1, "quarantine")])
        rows = pl.DataFrame({"batch": [batch] * 4, "a": [0, 1, 2, 3]})
        return table.append(rows, batch_id=f"b{batch}").applied_before

    with ThreadPoolExecutor(16) as pool:
        before = list(pool.map(write, range(16)))
    assert sum(before) == 8
    table = Lake(lake_root).table("t")
    for rows, each in ((table.at().frame(), 2), (table.quarantine().at().frame(), 2)):
        counts = rows.group_by("batch").len().sort("batch")
        assert counts["batch"].to_list() == list(range(8))
        assert counts["len"].to_list() == [each] * 8
    # The files of those who came second are gone.
    assert len([p for p in Path(table.uri).iterdir() if p.suffix == ".parquet"]) == 8


def test_processes_that_make_the_table_at_once(lake_root: str) -> None:
    script = (
        "import sys, polars as pl\n"
        "from raypipe.lake import Lake\n"
        "sys.stdin.readline()\n"
        "table = Lake(sys.argv[1]).table('t')\n"
        "for k in range(3):\n"
        "    table.append(pl.DataFrame({'a': [int(sys.argv[2])]}))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, lake_root, str(n)], stdin=subprocess.PIPE)
        for n in range(3)
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write(b"\n")
        writer.stdin.close()
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    table = Lake(lake_root).table("t")
    assert sorted(table.at().frame()["a"]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert table.version() == 9


def test_one_winner_of_a_compare_and_swap(lake_root: str) -> None:
    def write(number: int) -> bool:
        try:
            Lake(lake_root).table("t").append(pl.DataFrame({"a": [number]}), if_version=-1)
        except CommitConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert sum(won) == 1
    assert Lake(lake_root).table("t").at().frame()["a"].to_list() == [won.index(True)]


def test_who_makes_the_table_second_does_not_make_it_again(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.lake.log import commit

    plain = commit.create

    def late(log: Any, change: Any) -> None:
        # Between the look at the folder and the making of the table another writer comes first.
        with monkeypatch.context() as patch:
            patch.setattr(commit, "create", plain)
            Lake(lake_root).table("t").append(pl.DataFrame({"a": [1]}))
        plain(log, change)

    with monkeypatch.context() as patch:
        patch.setattr(commit, "create", late)
        Lake(lake_root).table("t").append(pl.DataFrame({"a": [2]}))
    table = Lake(lake_root).table("t")
    assert table.at().frame()["a"].to_list() == [1, 2]
    assert [one["kind"] for one in table.history()] == ["append", "append", "CREATE TABLE"]


def test_first_writes_of_two_types_end_in_one_table(lake_root: str) -> None:
    def write(value: object) -> None:
        Lake(lake_root).table("t").append(pl.DataFrame({"a": [value]}))

    # Whole numbers fit a real column; a real number does not fit a whole one.
    Lake(lake_root).table("t").append(pl.DataFrame({"a": [0.5]}))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [1, 2.5, 3, 4.5]))
    assert sorted(Lake(lake_root).table("t").at().frame()["a"]) == [0.5, 1.0, 2.5, 3.0, 4.5]


def test_overwrite_beside_a_compaction(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    for number in range(4):
        table.append(pl.DataFrame({"a": [number]}), batch_id=str(number))
    deltalake.DeltaTable(table.uri).optimize.compact()
    table.overwrite(pl.DataFrame({"a": [9]}))
    assert table.at().frame()["a"].to_list() == [9]


def test_batches_and_reads_survive_checkpoints_and_lost_log_files(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    for number in range(45):
        table.append(pl.DataFrame({"a": [number]}), batch_id=str(number))
    log = Path(table.uri) / "_delta_log"
    assert (log / "_last_checkpoint").exists()
    assert table.append(pl.DataFrame({"a": [0]}), batch_id="3").version == 4
    for number in range(35):  # as a clean-up of the log by another engine would
        (log / f"{number:020d}.json").unlink()
    fresh = Lake(lake_root).table("t")
    again = fresh.append(pl.DataFrame({"a": [0]}), batch_id="3")
    assert again.applied_before
    assert again.version == 4
    assert fresh.at().frame()["a"].to_list() == list(range(45))
    assert fresh.version() == 45


def test_threads_that_look_at_once_see_the_newest_version_and_no_later_one(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"a": [0]}))
    assert table._log.version() == 1
    Lake(lake_root).table("t").append(pl.DataFrame({"a": [1]}))
    plain, both = Path.exists, threading.Barrier(2, timeout=120)

    def exists(path: Path) -> bool:
        found = plain(path)
        if path.name == f"{2:020d}.json":
            both.wait()  # each thread finds the new version before the other one has counted it
        return found

    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(Path, "exists", exists)
        seen = list(pool.map(lambda _: table._log.version(), range(2)))
    assert seen == [2, 2]
    assert table.version() == 2
    assert table.at(version=2).count() == 2
