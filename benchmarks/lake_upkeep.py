"""What compaction buys, and what it costs: 2,000 small files, read 1 % of the rows by a predicate.

``python benchmarks/lake_upkeep.py`` makes a table of 2,000 files of 2,000 rows each, in the order
of arrival: ``at`` grows from file to file, ``key`` and ``place`` are spread over all of them. It is
read as it is, compacted, and laid out along a Z-curve; and the same table is compacted by
``DeltaTable.optimize.compact()``. Each figure is the median of five runs in one warm process.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from common import CACHE
from deltalake import DeltaTable

from raypipe.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable

PER_FILE = 2_000


def fill(root: Path, files: int) -> Lake:
    """The table as many small writes leave it."""
    lake = Lake(root)
    rng = np.random.default_rng(1)
    rows = files * PER_FILE
    table = lake.table("events", properties={"delta.checkpointInterval": 100})
    for number in range(files):
        low = number * PER_FILE
        frame = pl.DataFrame(
            {
                "at": np.arange(low, low + PER_FILE),
                "key": rng.integers(0, rows, PER_FILE),
                "place": rng.integers(0, rows, PER_FILE),
                "value": rng.normal(size=PER_FILE),
                "note": rng.choice(["red", "green", "blue", "none"], PER_FILE),
            }
        )
        table.append(frame, run_on="local")
    return lake


def timed(run: Callable[[], Any], times: int = 5) -> tuple[float, Any]:
    """Median seconds, and the last answer."""
    seconds, answer = [], None
    for _ in range(times):
        begin = time.perf_counter()
        answer = run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), answer


def reads(lake: Lake, rows: int) -> dict[str, tuple[float, int, int]]:
    """Seconds, files and rows for 1 % of the rows, chosen in three ways."""
    one = rows // 100
    side = rows // 10
    wheres = {
        "at (order of arrival)": pl.col("at").is_between(rows // 2, rows // 2 + one - 1),
        "key (spread)": pl.col("key") < one,
        "key and place (a tenth of each)": (pl.col("key") < side) & (pl.col("place") < side),
    }
    out = {}
    for name, where in wheres.items():
        snapshot = lake.table("events").at().where(where)
        seconds, frame = timed(lambda where=where: lake.table("events").at().where(where).frame())
        out[name] = (seconds, len(snapshot.parts()), frame.height)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, default=CACHE / "lake_upkeep")
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    rows = args.files * PER_FILE
    try:
        begin = time.perf_counter()
        lake = fill(args.folder / "small", args.files)
        print(f"{args.files} files, {rows} rows, written in {time.perf_counter() - begin:.1f} s")
        size = sum(part.nbytes for part in lake.table("events").at().parts())
        copies = {name: args.folder / name for name in ("compacted", "z-order", "deltalake")}
        for copy in copies.values():
            shutil.copytree(args.folder / "small", copy)
        target = max(1, size // 16)
        steps: dict[str, Callable[[], Any]] = {
            "compacted": lambda: (
                Lake(copies["compacted"])
                .table("events")
                .compact(target_bytes=target, run_on="local")
            ),
            "deltalake": lambda: DeltaTable(str(copies["deltalake"] / "events")).optimize.compact(
                target_size=target
            ),
            "z-order": lambda: (
                Lake(copies["z-order"])
                .table("events")
                .compact(target_bytes=target, z_order=["key", "place"], run_on="local")
            ),
        }
        print(f"\n{'compaction':12} {'s':>7} {'files/s':>8} {'MB/s':>7} {'files':>6} {'MB':>6}")
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            took = time.perf_counter() - begin
            parts = Lake(copies[name]).table("events").at().parts()
            after = sum(part.nbytes for part in parts)
            print(
                f"{name:12} {took:7.2f} {args.files / took:8.0f} {size / took / 1e6:7.1f} "
                f"{len(parts):6} {after / 1e6:6.1f}"
            )
        print(f"\n{'1 % of the rows by':34} {'table':12} {'ms':>8} {'files':>6} {'rows':>7}")
        for name in ("small", "compacted", "z-order"):
            for way, (seconds, files, found) in reads(Lake(args.folder / name), rows).items():
                print(f"{way:34} {name:12} {seconds * 1e3:8.1f} {files:6} {found:7}")
    finally:
        shutil.rmtree(args.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
