"""What do lags and windows over a table take in time and memory, as the table grows?

    python benchmarks/features_history.py [--rounds 1] [--rows 4,16]

Tables of so many million events of 100,000 keys, in files of a million rows; one key has 1 % of all
events. The columns of a lag and of a mean and a standard deviation over seven days are filled, and
read once, part by part: from the scan, which goes through files beyond a million rows, and from the
same table as one frame in memory. Both must give the same sums. Prints time and peak memory of each
in a process of its own, and writes ``benchmarks/results/features_history.json``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import common

SCRIPT = Path(__file__)
MILLION, KEYS, YEAR_US = 1_000_000, 100_000, 365 * 86_400 * 10**6


def fill(request: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Fills the table and reads it once; seconds, and what both ways must agree on."""
    import polars as pl

    import raypipe as rp

    t = rp.transforms
    key: dict[str, Any] = {"by": "user", "time": "at"}
    recipe = rp.Recipe(
        t.lag("spent", **key),
        t.window("spent", ["mean", "std"], within=timedelta(days=7), **key),
    )
    table = rp.Lake(request["lake"]).table(request["table"]).at()
    begin = time.perf_counter()
    if request["way"] == "scan":
        frames = (part.read() for part in recipe.with_history(table).parts())
    else:
        frames = iter([recipe.with_history(table.frame())])
    names = [name for one in recipe.transforms for name in one.reads]
    rows, known, bits = 0, 0, 0
    for frame in frames:
        rows += frame.height
        known += sum(frame[name].count() for name in names)
        for name in names:
            column = frame[name].fill_null(0.0)
            bits = (bits + int(column.reinterpret(signed=True).cast(pl.Int128).sum())) % 2**64
    return time.perf_counter() - begin, {"rows": rows, "known": known, "bits": str(bits)}


def write(folder: str, name: str, rows: int) -> None:
    """A table of so many events, in the order of time."""
    import numpy as np
    import polars as pl

    from raypipe.lake import Lake

    table = Lake(folder).table(name)
    for at in range(0, rows, MILLION):
        rng = np.random.default_rng(at)
        size = min(MILLION, rows - at)
        user = np.where(rng.random(size) < 0.01, 7, rng.integers(0, KEYS, size))
        step = YEAR_US // rows
        when = (at + np.arange(size)) * step + 1_735_689_600 * 10**6
        columns = {"user": user, "at": when, "spent": rng.normal(20, 5, size)}
        more = {f"x{k}": rng.normal(size=size) for k in range(4)}
        frame = pl.DataFrame({**columns, **more})
        table.append(frame.with_columns(pl.col("at").cast(pl.Datetime("us"))))


def main() -> None:
    """Measures, prints and writes JSON."""
    parser = common.parser(__doc__)
    parser.set_defaults(rounds=1)
    parser.add_argument("--rows", default="4,16", help="millions of events, by comma (4,16)")
    args = parser.parse_args()
    out = {}
    for count in (int(word) * MILLION for word in args.rows.split(",")):
        folder = tempfile.mkdtemp(prefix="raypipe-bench-")
        try:
            write(folder, "events", count)
            told: list[Any] = []

            def same(name: str, _number: int, answer: Any, told: list[Any] = told) -> None:
                told.append(answer)
                if answer != told[0]:
                    raise SystemExit(f"{name} gives other columns: {answer} and {told[0]}")

            ways = [common.Contender(way, SCRIPT, ("serve",)) for way in ("scan", "frame")]
            asked = {"lake": folder, "table": "events"}
            runs = common.race(
                common.chosen(ways, args.only),
                args.rounds,
                lambda name, *_, asked=asked: {**asked, "way": name},
                after=same,
                warmups=0,
            )
            table = common.rows(runs, runs[0].name)
            print(common.show(f"{count:,} events", table, runs[0].name) + "\n", flush=True)
            out[str(count)] = table
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(common.save("features_history", {"tables": out}))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        common.serve(fill)
    else:
        main()
