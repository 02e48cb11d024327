"""What expectations cost: rows written with eight rules in the same pass, and without any.

Run: ``python benchmarks/lake_quality.py [rows]`` (6 million by default). Rounds alternate, so that
what else the machine does falls on both; medians and their ratio are printed.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from raypipe.lake import Lake, expect

FILES, ROUNDS = 8, 5


def make(folder: Path, rows: int) -> str:
    """Files with a key, amounts, a flag, a country and a time."""
    each = rows // FILES
    for number in range(FILES):
        frame = pl.select(k=pl.int_range(number * each, (number + 1) * each)).with_columns(
            amount=(pl.col("k") * 7919 % 10_000) / 100,
            quantity=(pl.col("k") * 31 % 50).cast(pl.Int32),
            country=pl.format("C{}", pl.col("k") * 17 % 40),
            code=pl.format("AB{}", pl.col("k") * 13 % 9000 + 1000),
            at=pl.lit(datetime(2026, 1, 1)) + pl.duration(seconds=pl.col("k") % 86_400),
        )
        frame.write_parquet(folder / f"{number}.parquet")
    return str(folder / "*.parquet")


def rules() -> list[expect.Rule]:
    """Eight, each over another column or figure; all hold, as they mostly do."""
    return [
        *expect.not_null("k"),
        expect.between("amount", 0, 100, on_fail="quarantine"),
        expect.between("quantity", 0, 49, on_fail="drop"),
        expect.in_set("country", [f"C{n}" for n in range(40)], on_fail="quarantine"),
        expect.matches("code", "AB[0-9]{4}", on_fail="warn"),
        expect.row_count(low=1),
        expect.column_stat("amount", "mean", 0, 100),
        expect.freshness("at", timedelta(days=3650), on_fail="warn"),
    ]


def main() -> None:
    """Measures and prints."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 6_000_000
    folder = Path(tempfile.mkdtemp(prefix="lake-quality-"))
    try:
        source = make(folder, rows)
        asked: dict[str, list[expect.Rule]] = {
            "no rule": [],
            "8 rules": rules(),
            "unique key": [expect.unique("k", within="batch")],
        }
        seconds: dict[str, list[float]] = {name: [] for name in asked}
        for turn in range(ROUNDS + 1):
            for name, expected in asked.items():
                root = folder / "lake"
                start = time.perf_counter()
                done = Lake(root).table("t", expect=expected).append(source, run_on="local")
                if turn:  # the first one warms
                    seconds[name].append(time.perf_counter() - start)
                assert done.rows == rows // FILES * FILES
                shutil.rmtree(root)
        base = statistics.median(seconds["no rule"])
        for name, times in seconds.items():
            middle = statistics.median(times)
            print(f"{name:12} {middle:6.2f} s  {middle / base:5.2f} of no rule")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
