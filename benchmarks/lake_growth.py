"""Ten times the rows: does a write take ten times as long, and does the driver's memory grow?

    python benchmarks/lake_growth.py [--scales 0.1,0.3,1] [--ways local,ray] [--rounds 3]

TPC-H lineitem in files of one size, so that only their number grows, is appended to a new table
(filtered, with three computed columns, where the library can), and then summed from it. Each scale
and way has a process of its own. Prints seconds, the exponent of time over scale (1 is linear), the
driver's own peak memory, and that of its whole tree; writes JSON to ``benchmarks/results/``.
"""

from __future__ import annotations

import inspect
import math
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from common import Contender, lineitem, parser, race, save, serve

FILES_PER_SCALE = 16


def change(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The work on each row."""
    price, off = pl.col("l_extendedprice").cast(pl.Float64), pl.col("l_discount").cast(pl.Float64)
    return rows.filter(off <= 0.09).select(
        "l_orderkey", "l_linenumber", "l_shipdate", "l_returnflag",
        revenue=price * (1 - off), year=pl.col("l_shipdate").dt.year(), dear=price > 50_000,
    )  # fmt: skip


def peak(reset: bool) -> float:
    """This process's own peak memory in MB since the last reset."""
    status = Path("/proc/self/status")
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
        return 0.0
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run(request: dict[str, Any]) -> Any:
    from raypipe.lake import Lake

    folder = tempfile.mkdtemp(prefix="lake-growth-")
    try:
        table = Lake(folder).table("lineitem")
        fused = "transform" in inspect.signature(table.append).parameters
        more = {"transform": change} if fused else {}
        peak(reset=True)
        begin = time.perf_counter()
        done = table.append(request["files"], run_on=request["way"], **more)
        wrote = time.perf_counter() - begin
        memory = peak(reset=False)
        begin = time.perf_counter()
        column = "revenue" if fused else "l_extendedprice"
        total = table.at().lazy().select(pl.col(column).sum()).collect(engine="streaming").item()
        read = time.perf_counter() - begin
        files = len(table.at().parts())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = {"read_s": read, "driver_mb": memory, "rows": done.rows, "files": files}
    return wrote, {**told, "total": float(total)}


def exponent(scales: list[float], seconds: list[float]) -> float:
    """The slope of the line through the logarithms."""
    x, y = [math.log(s) for s in scales], [math.log(t) for t in seconds]
    return statistics.linear_regression(x, y).slope if len(x) > 1 else math.nan


def main() -> None:
    args = parser(__doc__)
    args.add_argument("--scales", default="0.1,0.3,1", help="TPC-H scale factors, by comma")
    args.add_argument("--ways", default="local,ray", help="where parts run, by comma")
    args.add_argument("--serve", action="store_true")
    args.set_defaults(rounds=3)
    got = args.parse_args()
    if got.serve:
        serve(run)
        return
    scales = [float(s) for s in got.scales.split(",")]
    table: list[dict[str, Any]] = []
    for way in got.ways.split(","):
        kinds = {f"{way} SF{scale:g}": scale for scale in scales}
        data = {n: lineitem(s, max(2, round(s * FILES_PER_SCALE))) for n, s in kinds.items()}
        script = Path(__file__).resolve()
        runs = []
        for name in kinds:  # one after the other: a Ray that idles takes memory and time, too
            request = {"way": way, "files": f"{data[name]}/*.parquet"}
            one = Contender(name, script, ("--serve",))
            runs += race([one], got.rounds, lambda _n, _r, request=request: request)
        for one in runs:
            if one.error:
                raise SystemExit(f"{one.name}: {one.error}")
            table.append(
                {
                    "way": way,
                    "scale": kinds[one.name],
                    "rows": one.answers[0]["rows"],
                    "files": one.answers[0]["files"],
                    "write_s": statistics.median(one.seconds),
                    "read_s": statistics.median(a["read_s"] for a in one.answers),
                    "driver_mb": max(a["driver_mb"] for a in one.answers),
                    "tree_mb": max(one.peak_mb),
                    "cpu_s": statistics.median(one.cpu_s),
                    "first_s": one.first_s,
                }
            )
    report(table, scales)
    save("lake_growth", {"table": table})


def report(table: list[dict[str, Any]], scales: list[float]) -> None:
    print(
        "| way | scale | rows | files | write s | read s | driver peak MB | tree peak MB | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in table:
        print(
            f"| {row['way']} | SF{row['scale']:g} | {row['rows']:,} | {row['files']} "
            f"| {row['write_s']:.2f} | {row['read_s']:.2f} | {row['driver_mb']:.0f} "
            f"| {row['tree_mb']:.0f} | {row['cpu_s']:.1f} |"
        )
    for way in dict.fromkeys(row["way"] for row in table):
        mine = [row for row in table if row["way"] == way]
        write = exponent(scales, [row["write_s"] for row in mine])
        read = exponent(scales, [row["read_s"] for row in mine])
        grown = mine[-1]["driver_mb"] / mine[0]["driver_mb"]
        print(f"{way}: time grows with scale^{write:.2f} (write) and ^{read:.2f} (read); "
              f"driver memory x{grown:.2f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
