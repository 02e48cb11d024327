"""The table of checks: one row for each expectation and commit, whatever is killed between."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, ExpectationError, LakeAccessError, TableNotFoundError
from raypipe.lake import Lake, expect
from raypipe.lake.table import Table
from raypipe.lake.write import checks

RULES = [
    expect.between("n", 0, 10, on_fail="drop"),
    expect.column_stat("n", "mean", 0, 9, on_fail="warn"),
    expect.freshness("t", timedelta(days=365_000), on_fail="warn"),
    expect.column_stat("s", "max", "a", "z"),
]


def frame(*numbers: int) -> pl.DataFrame:
    rows = {"n": numbers, "s": ["b"] * len(numbers)}
    return pl.DataFrame(rows).with_columns(t=pl.lit("2026-01-01").str.to_datetime(time_unit="us"))


def kept(table: Table) -> list[tuple[object, ...]]:
    names = ("version", "expectation", "failed")
    return sorted(table.checks().at().frame().select(names).iter_rows())


def test_each_commit_has_its_rows(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=RULES)
    table.append(frame(1, 2, 99), batch_id="one")
    table.append(frame(1, 2, 99), batch_id="one")
    table.append(frame(10, 10))
    with pytest.raises(ExpectationError):
        table.append(frame(1).with_columns(s=pl.lit("~")))
    rows = table.checks().at().frame()
    assert rows["version"].to_list() == [1] * 4 + [2] * 4
    assert rows["batch_id"].to_list() == ["one"] * 4 + [None] * 4
    first = rows.row(0, named=True)
    assert (first["failed"], first["rows"], first["rows_in"]) == (1, 3, 3)
    assert first["at"] == table.history(2)[1]["at"]
    assert rows["value"].to_list()[1::4] == [1.5, 10.0]
    assert rows["note"].to_list()[1::4] == [None, "10.0 is above 9"]
    assert rows.row(3, named=True)["value_text"] == "b"
    assert (rows["low"][3], rows["high"][3]) == ("a", "z")
    assert rows["on_fail"].to_list()[:4] == ["drop", "warn", "warn", "fail"]


def test_no_table_without_expectations_or_when_it_is_not_wanted(lake_root: str) -> None:
    lake = Lake(lake_root)
    lake.table("plain").append(frame(1))
    off = lake.table("off", expect=RULES, properties={"raypipe.checks": False})
    assert off.append(frame(1)).outcomes
    lake.table("off", expect=RULES).append(frame(1))  # the table keeps that it is not wanted
    assert lake.tables() == ["off", "plain"]
    with pytest.raises(TableNotFoundError):
        off.checks().at()
    with pytest.raises(ConfigError):
        lake.table("t", properties={"raypipe.other": "x"})


KILLED = """
import polars as pl, sys
from raypipe.lake import Lake, expect
lake = Lake(sys.argv[1])
rows = pl.DataFrame({"n": [1, 50]})
rule = expect.between("n", 0, 10, on_fail="drop")
lake.table("t", expect=[rule]).append(rows, batch_id=sys.argv[2] or None)
"""


@pytest.mark.parametrize("point", ["lake:after-commit", "lake:before-checks"])
def test_what_a_kill_left_out_is_put_in_once(lake_root: str, point: str) -> None:
    def write(batch: str, fault: str | None) -> int:
        env = {**os.environ, **({"RAYPIPE_FAULT": fault} if fault else {})}
        done = subprocess.run(
            [sys.executable, "-c", KILLED, lake_root, batch], env=env, timeout=300
        )
        return done.returncode

    table = Lake(lake_root).table("t")
    assert write("b", point) == -9
    assert table.version() == 1
    assert not table.checks().exists
    # The retry of the batch completes it, and so does the next write of whoever comes.
    assert Lake(lake_root).table("t").at().count() == 1
    again = Lake(lake_root).table("t", expect=[expect.between("n", 0, 10, on_fail="drop")])
    assert again.append(pl.DataFrame({"n": [1, 50]}), batch_id="b").applied_before
    assert kept(table) == [(1, "between(n, 0, 10)", 1)]
    assert write("", point) == -9
    assert len(kept(table)) == 1
    again.append(pl.DataFrame({"n": [2]}))
    again.append(pl.DataFrame({"n": [2]}), batch_id="b")
    assert kept(table) == [(v, "between(n, 0, 10)", f) for v, f in ((1, 1), (2, 1), (3, 0))]


def test_what_could_not_be_kept_twice_is_kept_by_the_third_write(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, failures = checks._put, [1, 1]

    def failing(log: Any, version: int, *rest: Any) -> None:
        if failures and version == failures[0]:
            failures.pop()
            raise LakeAccessError("no disk", None)
        put(log, version, *rest)

    monkeypatch.setattr(checks, "_put", failing)
    table = Lake(lake_root).table("t", expect=RULES[:1])
    for _ in range(3):
        table.append(frame(1, 99))
    assert [row[0] for row in kept(table)] == [1, 2, 3]


def test_writers_at_once_keep_each_commit_once(lake_root: str) -> None:
    def write() -> None:
        Lake(lake_root).table("t", expect=RULES[:1]).append(frame(1, 99))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row[0] for row in kept(Lake(lake_root).table("t"))] == [1, 2, 3, 4, 5, 6]
