"""A driver whose parts run on Ray, and workers of which one dies in mid-part."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import polars as pl

from raypipe.lake import Table
from tests.faults import roles

PARTS, ROWS = 4, 50


def sources(folder: Path) -> str:
    """Files of which each becomes a part; some rows are refused."""
    folder.mkdir(exist_ok=True)
    for part in range(PARTS):
        roles.rows(f"p{part}", ROWS, refused=2).write_csv(folder / f"{part}.csv")
    return str(folder / "*.csv")


def die_once(rows: pl.LazyFrame, point: str, marker: str, driver: int) -> pl.LazyFrame:
    """Whichever worker passes the point first is killed there; the driver asks for types only."""
    if os.getpid() == driver:
        return rows
    os.environ["RAYPIPE_FAULT"], os.environ["RAYPIPE_FAULT_ONCE"] = point, marker
    return rows


def write(root: str, files: str, point: str, marker: str) -> Table:
    """One batch of several parts; without a point nobody dies."""
    table = roles.table(root)
    deadly = partial(die_once, point=point, marker=marker, driver=os.getpid()) if point else None
    table.append(files, batch_id="all", run_on="ray", transform=deadly)
    return table


if __name__ == "__main__":
    write(*sys.argv[1:5])
    roles.acknowledge(sys.argv[5], "all")
