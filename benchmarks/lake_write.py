"""How fast is a Delta table written from Parquet: filter, project, three computed columns?

    make peers && python benchmarks/lake_write.py [--scale 10] [--rounds 5] [--only raypipe,sink]

TPC-H lineitem (6.0M rows at scale 1) in 8 Parquet files, made by ``tpchgen-cli`` once. Each way
runs in a process of its own and writes a new table in each round; rows and sums of what it wrote
are compared with what polars computes. Prints a table and writes
``benchmarks/results/lake_write.json``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import common
import polars as pl
from peers.lake_write import shaped

SCRIPT = Path(__file__).parent / "peers" / "lake_write.py"
BASE = "polars sink_delta"
WAYS = [
    ("raypipe local", "local", True),
    ("raypipe local with 3 expectations", "local-rules", True),
    ("raypipe on Ray", "ray", True),
    ("raypipe on Ray with 3 expectations", "ray-rules", True),
    (BASE, "sink_delta", False),
    ("polars collect and write_deltalake", "write_deltalake", False),
    ("Daft native", "daft", False),
    ("Daft on Ray", "daft_ray", False),
    ("Ray Data tuned", "ray_data_tuned", False),
    ("Ray Data defaults", "ray_data", False),
    ("PySpark to Parquet", "pyspark", False),
]


def facts(rows: pl.LazyFrame) -> dict[str, float]:
    """What must be the same whoever wrote it."""
    found = rows.select(
        rows=pl.len(),
        keys=pl.col("l_orderkey").sum(),
        charge=pl.col("charge").sum(),
        disc_price=pl.col("disc_price").sum(),
        transit=pl.col("transit").sum(),
    )
    return found.collect().row(0, named=True)


def written(out: Path) -> pl.LazyFrame:
    """A table that a contender wrote."""
    if (out / "_delta_log").is_dir():
        return pl.scan_delta(str(out))
    return pl.scan_parquet(out / "*.parquet")


def main() -> None:
    args = common.parser(__doc__).parse_args()
    common.need_peers()
    files = sorted(str(p) for p in common.lineitem(args.scale).glob("*.parquet"))
    right = facts(shaped(pl.scan_parquet(files)))
    contenders = [
        common.Contender(name, SCRIPT, (way,), common.OURS if ours else common.PEERS)
        for name, way, ours in WAYS
    ]
    folder = Path(tempfile.mkdtemp(prefix="raypipe-bench-"))

    def request(name: str, number: int) -> dict[str, Any]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return {"files": files, "out": str(folder / "written")}

    def check(name: str, number: int, _: Any) -> None:
        found = facts(written(folder / "written"))
        for key, value in right.items():
            if abs(found[key] - value) > 1e-9 * abs(value):
                raise AssertionError(f"{name} wrote {key}={found[key]}, and {value} is right")

    try:
        runs = common.race(
            common.chosen(contenders, args.only), args.rounds, request, after=check, warmups=2
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = common.rows(runs, BASE)
    print(common.show(f"lineitem SF{args.scale:g}, {right['rows']:,} rows out", table, BASE))
    name = "lake_write" if args.scale == 1 else f"lake_write_sf{args.scale:g}"
    path = common.save(name, {"scale": args.scale, "rounds": args.rounds, "ways": table})
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
