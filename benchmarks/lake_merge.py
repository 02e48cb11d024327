"""How fast are changed rows merged into a Delta table, against Delta's own library?

    python benchmarks/lake_merge.py [--rounds 5] [--full] [--only raypipe]

1,000, 10,000 and 100,000 rows into 1M and, with ``--full``, 1M into 20M rows of ten columns, in
files of 1M rows.
``random``: half of the rows have keys from all over the table, half are new. ``local``: the keys
are the last of the table and those that follow. Each way runs in a process of its own on a fresh
copy of the table in each round; counts and sums of what it made are compared. Prints a table for
each task and writes ``benchmarks/results/lake_merge.json``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np
import polars as pl

SCRIPT = Path(__file__).parent / "peers" / "lake_merge.py"
BASE = "DeltaTable.merge"
WAYS = [("raypipe", "auto"), (BASE, "deltalake")]
SMALL = [(1_000_000, 1_000), (1_000_000, 10_000), (1_000_000, 100_000)]
LARGE = (20_000_000, 1_000_000)
FILE_ROWS = 1_000_000
WORDS = np.array(["alpha", "beta", "gamma", "delta"])


def rows(ids: np.ndarray, seed: int) -> pl.DataFrame:
    """Rows of ten columns with these keys."""
    rng, n = np.random.default_rng(seed), len(ids)
    return pl.DataFrame(
        {
            "id": ids,
            "grp": rng.integers(0, 1000, n),
            "day": np.datetime64("2026-01-01") + rng.integers(0, 300, n),
            "name": WORDS[rng.integers(0, 4, n)],
            "code": pl.Series(rng.integers(0, 50_000, n)).cast(pl.String),
            "x": rng.random(n),
            "y": rng.random(n).round(3),
            "qty": rng.integers(0, 100, n).astype("int32"),
            "seq": rng.integers(0, 10**6, n),
            "flag": rng.random(n) < 0.5,
        }
    )


def make(folder: Path, target: int, changes: int) -> None:
    """The table, and both files of changes."""
    import raypipe as rp

    table = rp.Lake(str(folder)).table("base")
    for begin in range(0, target, FILE_ROWS):
        table.append(rows(np.arange(begin, min(begin + FILE_ROWS, target)), begin))
    half = changes // 2
    rng = np.random.default_rng(1)
    known = rng.choice(target, half, replace=False)
    rows(np.concatenate([known, np.arange(target, target + half)]), 2).write_parquet(
        folder / "random.parquet"
    )
    rows(np.arange(target - half, target + half), 3).write_parquet(folder / "local.parquet")


def sums(table: Path) -> tuple[Any, ...]:
    """What must be the same whoever merged."""
    found = pl.scan_delta(str(table)).select(
        pl.len(), pl.col("id").sum(), pl.col("seq").sum(), pl.col("qty").cast(pl.Int64).sum()
    )
    return found.collect().row(0)


def task(folder: Path, kind: str, rounds: int, only: str, warmups: int) -> list[dict[str, Any]]:
    """One task, all ways."""
    target, right = folder / "lake" / "t", []

    def request(name: str, number: int) -> dict[str, Any]:
        shutil.rmtree(target.parent, ignore_errors=True)
        # Files of a table never change, so links are as good as copies.
        shutil.copytree(folder / "base", target, copy_function=os.link)
        return {"table": str(target), "changes": str(folder / f"{kind}.parquet")}

    def check(name: str, number: int, _: Any) -> None:
        right.append(sums(target))
        if right[-1] != right[0]:
            raise AssertionError(f"{name} made {right[-1]}, another {right[0]}")

    contenders = common.chosen([common.Contender(n, SCRIPT, (way,)) for n, way in WAYS], only)
    runs = common.race(contenders, rounds, request, after=check, warmups=warmups)
    return common.rows(runs, BASE)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--full", action="store_true", help="1M into 20M rows too")
    parser.add_argument("--large-alone", action="store_true", help="only 1M into 20M rows")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    sizes = [
        *([] if args.large_alone else SMALL),
        *([LARGE] if args.full or args.large_alone else []),
    ]
    for target, changes in sizes:
        folder = Path(tempfile.mkdtemp(prefix="raypipe-bench-"))
        try:
            make(folder, target, changes)
            for kind in ("random", "local"):
                title = f"{changes:,} {kind} rows into {target:,}"
                found[title] = task(
                    folder, kind, args.rounds, args.only, 1 if target < 10**7 else 0
                )
                print(common.show(title, found[title], BASE), flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\nwritten to {common.save('lake_merge', {'rounds': args.rounds, 'tasks': found})}")


if __name__ == "__main__":
    main()
