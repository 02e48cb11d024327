"""How fast is a hundredth of a Delta table read, by a filter on the column it is sorted by?

    make peers && python benchmarks/lake_read.py [--scale 10] [--rounds 5] [--only raypipe,scan]

TPC-H lineitem (6.0M rows at scale 1), written by raypipe in its order of ``l_orderkey``. Each way
runs in a process of its own and reads three columns of the rows between two keys; then each counts
the whole table. Opening the table is part of both. ``bytes`` are what the way's processes read from
files; the least that can do are the chunks of the three columns in the row groups that hold these
keys, as ``Snapshot.explain()`` adds them up. Prints two tables and writes
``benchmarks/results/lake_read.json``.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import common
import polars as pl
from peers.lake_read import COLUMNS, KEY

SCRIPT = Path(__file__).parent / "peers" / "lake_read.py"
BASE = "raypipe"
WAYS = [
    (BASE, "raypipe"),
    ("raypipe dataset on Ray", "raypipe_dataset"),
    ("polars scan_delta", "scan_delta"),
    ("Ray read_delta and filter", "read_delta"),
    ("Ray read_delta, filter pushed by hand", "read_delta_pushed"),
]


def main() -> None:
    args = common.parser(__doc__).parse_args()
    source = common.lineitem(args.scale)
    files = [str(path) for path in sorted(source.glob("*.parquet"))]
    from raypipe.lake import Lake

    folder = Path(tempfile.mkdtemp(prefix="raypipe-bench-"))
    try:
        table = Lake(str(folder)).table("lineitem")
        table.append(files, run_on="local")
        now = table.at()
        low, high = keys(now.min(KEY), now.max(KEY))
        some = now.where(pl.col(KEY).is_between(low, high)).select(*COLUMNS)
        plan, right, every = some.explain(), some.count(), now.count()
        print(f"{plan!r}\n")
        out: dict[str, Any] = {"least_bytes": plan.bytes_read, "table_bytes": plan.bytes}
        for task, rows in (("rows", right), ("count", every)):
            request = {"root": str(folder), "low": low, "high": high, "count": task == "count"}
            out[task] = race(args, request, rows)
            title = f"1 % of {every:,} rows" if task == "rows" else f"count of {every:,} rows"
            print(common.show(f"{title}, SF{args.scale:g}", out[task], BASE))
            told = ", ".join(f"{r['name']} {r['bytes']:,}" for r in out[task] if "bytes" in r)
            print(f"\nbytes read: {told}\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    name = "lake_read" if args.scale == 1 else f"lake_read_sf{args.scale:g}"
    path = common.save(name, {"scale": args.scale, "rounds": args.rounds, **out})
    print(f"written to {path}")


def keys(least: int, greatest: int) -> tuple[int, int]:
    """A hundredth of the keys, away from both ends."""
    width = (greatest - least) // 100
    return least + 42 * width, least + 43 * width - 1


def race(args: Any, request: dict[str, Any], right: int) -> list[dict[str, Any]]:
    """Runs every way; each must come to the right number of rows."""

    def check(name: str, number: int, answer: Any) -> None:
        if answer["rows"] != right:
            raise AssertionError(f"{name} came to {answer['rows']} rows, and {right} is right")

    contenders = [common.Contender(name, SCRIPT, (way,)) for name, way in WAYS]
    runs = common.race(
        common.chosen(contenders, args.only), args.rounds, lambda *_: request, after=check,
        warmups=2,
    )  # fmt: skip
    rows = common.rows(runs, BASE)
    for row, one in zip(rows, runs, strict=True):
        if one.answers:
            row["bytes"] = int(statistics.median(a["bytes"] for a in one.answers))
            row["ms"] = round(1000 * statistics.median(one.seconds), 1)
    return rows


if __name__ == "__main__":
    main()
