"""A compactor or a vacuum killed at any point, then run again: same rows, no file missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from raypipe.lake import Lake

SCRIPT = """
import sys
from datetime import timedelta
import polars as pl
from raypipe.lake import Lake
from raypipe.lake.upkeep import vacuum

vacuum._AT_ONCE = 3
table = Lake(sys.argv[1]).table("t")
if sys.argv[2] == "compact":
    table.compact(run_on="local")
elif sys.argv[2] == "restore":
    table.restore(version=4)
else:
    table.vacuum(retention=timedelta(0))
    table.clean_log(timedelta(0))
"""
POINTS = {
    "compact": ["upkeep:after-files", "upkeep:before-commit", "upkeep:after-commit"],
    "restore": ["upkeep:before-commit", "upkeep:after-commit"],
    "vacuum": [
        "upkeep:vacuum-planned",
        "upkeep:vacuum-told",
        "upkeep:vacuum-mid",
        "upkeep:vacuum-mid:2",
        "upkeep:log-planned",
        "upkeep:log-told",
        "upkeep:vacuum-mid:6",
    ],
}


def filled(root: str) -> Lake:
    """A table with history: 24 commits, of which the later ones replaced the earlier."""
    lake = Lake(root)
    table = lake.table("t")
    for number in range(8):
        table.append(pl.DataFrame({"a": [number] * 3}))
    table.compact()
    table.overwrite(pl.DataFrame({"a": [100]}))
    for number in range(14):
        table.append(pl.DataFrame({"a": [number]}))
    lake.pin(("t", 5), "reader")
    return lake


def run(root: str, what: str, **env: str) -> int:
    full = {**os.environ, **env, "PYTHONPATH": str(Path.cwd()), "POLARS_MAX_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, root, what], env=full, timeout=300, check=False
    ).returncode


def check(root: str, what: str, told: str) -> None:
    table = Lake(root).table("t")
    rows = [n for n in range(4) for _ in range(3)] if what == "restore" else [100, *range(14)]
    assert table.at().frame()["a"].to_list() == rows, told
    pinned = table.at(version=5).frame()["a"].to_list()
    assert pinned == [n for n in range(5) for _ in range(3)], told


@pytest.mark.parametrize("what", ["compact", "vacuum"])
def test_killed_and_run_again(tmp_path: Path, what: str) -> None:
    killed_and_run_again(tmp_path, what, POINTS[what][1:3])


@pytest.mark.long
@pytest.mark.parametrize("what", list(POINTS))
def test_killed_anywhere_and_run_again(tmp_path: Path, what: str) -> None:
    killed_and_run_again(tmp_path, what, POINTS[what])


def killed_and_run_again(tmp_path: Path, what: str, points: list[str]) -> None:
    for point in points:
        root = str(tmp_path / point.replace(":", "-"))
        filled(root)
        assert run(root, what, RAYPIPE_FAULT=point) == -signal.SIGKILL, point
        if what != "restore":
            check(root, what, f"{point}, killed")
        assert run(root, what) == 0, point
        check(root, what, point)
        table = Lake(root).table("t")
        assert table.append(pl.DataFrame({"a": [7]}), batch_id="after").rows == 1
        if what == "compact":
            assert len(table.at().parts()) == 2, point
        if what == "vacuum":
            kept = {Path(part.uri) for v in (5, None) for part in table.at(version=v).parts()}
            assert set(Path(table.uri).glob("*.parquet")) == kept, point
