"""A writer killed at any point and run again leaves each row once, in table and quarantine."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import polars as pl
import pytest

from raypipe.lake import Lake, expect
from tests.faults import drivers


def work(root: str) -> None:
    rule = expect.between("a", 0, 6, on_fail="quarantine")
    table = Lake(root).table("t", expect=[rule])
    for batch in range(2):
        rows = pl.DataFrame({"a": range(batch * 5, batch * 5 + 5)})
        table.append(rows, batch_id=f"b{batch}")
    table.overwrite(pl.DataFrame({"a": [0, 1, 2, 3, 4, 5, 6, 99]}), batch_id="all")


def drive(root: str, fault: str) -> None:
    os.environ["RAYPIPE_FAULT"] = fault
    work(root)


def check(root: str, told: str) -> None:
    work(root)
    table = Lake(root).table("t")
    assert table.at().frame()["a"].to_list() == list(range(7)), told
    bad = table.quarantine().at().frame().sort("a")
    assert bad["a"].to_list() == [7, 8, 9, 99], told
    assert bad["_batch"].to_list() == ["b1", "b1", "b1", "all"], told
    assert table.append("never read", batch_id="b1").quarantined == 3, told


POINTS = [
    "lake:after-files",
    "lake:after-files:2",
    "lake:after-quarantine",
    "lake:after-quarantine:2",
    "lake:before-commit:2",
    "lake:before-commit:3",
    "lake:after-commit:2",
    "lake:after-commit:3",
]


def test_killed_anywhere_and_run_again(tmp_path: Path) -> None:
    for point in POINTS:
        root = str(tmp_path / point.replace(":", "-"))
        assert drivers.run(drive, root, point) == -signal.SIGKILL, point
        check(root, point)


@pytest.mark.long
def test_killed_at_any_moment(tmp_path: Path) -> None:
    for turn in range(20):
        process = drivers.start(drive, str(tmp_path / str(turn)), "")
        process.join(0.02 * turn)
        process.kill()
        process.join()
        check(str(tmp_path / str(turn)), str(turn))
