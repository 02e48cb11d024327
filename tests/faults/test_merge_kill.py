"""A merge, a delete or an overwrite of some killed at any point and run again happens once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import polars as pl

from raypipe.lake import Lake, Table, expect
from tests.faults import drivers

RULE = expect.between("k", 0, 99, on_fail="quarantine")


def opened(root: str) -> Table:
    return Lake(root).table(
        "t", expect=[RULE], partition_by="g", properties={"delta.enableChangeDataFeed": True}
    )


def rows(keys: list[int], value: str) -> pl.DataFrame:
    groups = ["even %" if key % 2 == 0 else "odd" for key in keys]
    return pl.DataFrame({"k": keys, "g": groups, "v": [value] * len(keys)})


def make(root: str) -> None:
    table = opened(root)
    for first in (0, 4):
        table.append(rows([first, first + 1, first + 2, first + 3], "old"))


def work(root: str) -> None:
    table = opened(root)
    table.merge(rows([1, 2, 20, 21, 100], "merged"), on="k", batch_id="m")
    table.delete(pl.col("k") == 20, batch_id="d")
    where = (pl.col("g") == "odd") & (pl.col("k") >= 5)
    table.overwrite(rows([7, 9], "put"), where=where, batch_id="o")


def check(root: str, told: str) -> None:
    work(root)
    table = opened(root)
    found = dict(table.at().frame().select("k", "v").rows())
    assert found == {0: "old", 1: "merged", 2: "merged", 3: "old", 4: "old", 6: "old",
                     7: "put", 9: "put"}, told  # fmt: skip
    assert table.at().count() == len(found), told
    assert table.version() == 5, told
    assert table.quarantine().at().frame()["k"].to_list() == [100], told
    replayed = table.at(version=2).frame().rows()
    for one in table.changes(2).frame().iter_rows(named=True):
        row = tuple(one[name] for name in ("k", "g", "v"))
        if one["_change_type"] in ("delete", "update_preimage"):
            replayed.remove(row)
        else:
            replayed.append(row)
    assert sorted(replayed) == sorted(table.at().frame().rows()), told


def drive(root: str, fault: str) -> None:
    os.environ["RAYPIPE_FAULT"] = fault
    work(root)


POINTS = ["lake:mid-file:3", "lake:after-files", "lake:after-quarantine", "lake:inside-commit:2",
         "lake:after-commit"]  # fmt: skip


def kill_at(points: list[str], tmp_path: Path) -> None:
    for point in points:
        root = str(tmp_path / point.replace(":", "-"))
        make(root)
        assert drivers.run(drive, root, point) == -signal.SIGKILL, point
        check(root, point)


def test_killed_inside_a_change_and_run_again(tmp_path: Path) -> None:
    kill_at(POINTS, tmp_path)
