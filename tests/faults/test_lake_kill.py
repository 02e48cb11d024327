"""A writer killed at any point and run again leaves each row once, in table and quarantine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raypipe.lake import Lake

SCRIPT = """
import sys
import polars as pl
from raypipe.lake import Lake, expect


def work(root):
    rule = expect.between("a", 0, 6, on_fail="quarantine")
    table = Lake(root).table("t", expect=[rule])
    for batch in range(2):
        rows = pl.DataFrame({"a": range(batch * 5, batch * 5 + 5)})
        table.append(rows, batch_id=f"b{batch}")
    table.overwrite(pl.DataFrame({"a": [0, 1, 2, 3, 4, 5, 6, 99]}), batch_id="all")


if __name__ == "__main__":
    work(sys.argv[1])
"""
WORK: dict[str, Any] = {"__name__": "here"}
exec(SCRIPT, WORK)


def start(root: str, **env: str) -> subprocess.Popen[bytes]:
    full = {**os.environ, **env, "PYTHONPATH": str(Path.cwd()), "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, root], env=full)


def check(root: str, told: str) -> None:
    WORK["work"](root)
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
        assert start(root, RAYPIPE_FAULT=point).wait(60) == -signal.SIGKILL, point
        check(root, point)


@pytest.mark.long
def test_killed_at_any_moment(tmp_path: Path) -> None:
    for turn in range(20):
        process = start(str(tmp_path / str(turn)))
        try:
            process.wait(0.6 + 0.03 * turn)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        check(str(tmp_path / str(turn)), str(turn))
