"""One contender of ``lake_write``: ``python lake_write.py <way>``, fed by ``common.serve``.

Everybody does the same: of TPC-H lineitem the rows shipped from 1995 on, seven columns of it and
three computed ones, written to the folder of the request.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import serve

SINCE = date(1995, 1, 1)
KEPT = ["l_orderkey", "l_partkey", "l_suppkey", "l_quantity", "l_shipdate", "l_returnflag",
        "l_shipmode"]  # fmt: skip
READ = [*KEPT, "l_extendedprice", "l_discount", "l_tax", "l_receiptdate"]
Run = Callable[[dict[str, Any]], Any]


def shaped(rows: Any) -> Any:
    """The work, as polars says it."""
    import polars as pl

    price, off, tax = (
        pl.col(n).cast(pl.Float64) for n in ("l_extendedprice", "l_discount", "l_tax")
    )
    return rows.filter(pl.col("l_shipdate") >= SINCE).select(
        *KEPT,
        disc_price=price * (1 - off),
        charge=price * (1 - off) * (1 + tax),
        transit=(pl.col("l_receiptdate") - pl.col("l_shipdate")).dt.total_days(),
    )


def raypipe(run_on: str, rules: bool) -> Run:
    import raypipe as rp

    if run_on == "ray":
        from raypipe.engine.cluster import ensure_ray

        ensure_ray()
    expect = [
        rp.expect.not_null("l_orderkey"),
        rp.expect.between("l_quantity", 0, 100, on_fail="quarantine"),
        rp.expect.in_set("l_returnflag", ["A", "N", "R"], on_fail="drop"),
    ]

    def run(request: dict[str, Any]) -> int:
        root = Path(request["out"])
        table = rp.Lake(str(root.parent)).table(root.name, expect=expect if rules else ())
        return table.append(request["files"], transform=shaped, run_on=run_on).rows

    return run


def polars_sink_delta(request: dict[str, Any]) -> None:
    import polars as pl

    shaped(pl.scan_parquet(request["files"])).sink_delta(request["out"])


def polars_write_deltalake(request: dict[str, Any]) -> None:
    import polars as pl
    from deltalake import write_deltalake

    rows = shaped(pl.scan_parquet(request["files"])).collect()
    write_deltalake(request["out"], rows.to_arrow(compat_level=pl.CompatLevel.oldest()))


def ray_data(tuned: bool) -> Run:
    import ray

    ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def work(batch: Any) -> Any:
        import polars as pl

        frame = shaped(pl.from_arrow(batch).lazy()).collect()
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

    def run(request: dict[str, Any]) -> None:
        files = request["files"]
        if tuned:
            from ray.data.expressions import col, lit

            read = ray.data.read_parquet(files, columns=READ, override_num_blocks=len(files))
            read = read.filter(expr=col("l_shipdate") >= lit(SINCE))
            read = read.map_batches(work, batch_format="pyarrow", batch_size=None)
        else:
            read = ray.data.read_parquet(files).map_batches(work, batch_format="pyarrow")
        read.write_delta(request["out"])

    return run


def daft(runner: str) -> Run:
    import daft as d

    if runner == "ray":
        d.set_runner_ray()
    else:
        d.set_runner_native()

    def run(request: dict[str, Any]) -> None:
        rows = d.read_parquet(request["files"]).where(d.col("l_shipdate") >= SINCE)
        price, off, tax = (
            d.col(n).cast(d.DataType.float64()) for n in ("l_extendedprice", "l_discount", "l_tax")
        )
        days = d.col("l_receiptdate").cast(d.DataType.int32()) - d.col("l_shipdate").cast(
            d.DataType.int32()
        )
        rows.select(
            *KEPT,
            (price * (1 - off)).alias("disc_price"),
            (price * (1 - off) * (1 + tax)).alias("charge"),
            days.cast(d.DataType.int64()).alias("transit"),
        ).write_deltalake(request["out"])

    return run


def pyspark() -> Run:
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "8g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .getOrCreate()
    )

    def run(request: dict[str, Any]) -> None:
        price, off, tax = (
            f.col(n).cast("double") for n in ("l_extendedprice", "l_discount", "l_tax")
        )
        rows = spark.read.parquet(*request["files"]).where(f.col("l_shipdate") >= f.lit(SINCE))
        rows.select(
            *KEPT,
            (price * (1 - off)).alias("disc_price"),
            (price * (1 - off) * (1 + tax)).alias("charge"),
            f.datediff("l_receiptdate", "l_shipdate").cast("bigint").alias("transit"),
        ).write.parquet(request["out"])

    return run


WAYS: dict[str, Callable[[], Run]] = {
    "local": lambda: raypipe("local", rules=False),
    "local-rules": lambda: raypipe("local", rules=True),
    "ray": lambda: raypipe("ray", rules=False),
    "ray-rules": lambda: raypipe("ray", rules=True),
    "sink_delta": lambda: polars_sink_delta,
    "write_deltalake": lambda: polars_write_deltalake,
    "ray_data": lambda: ray_data(tuned=False),
    "ray_data_tuned": lambda: ray_data(tuned=True),
    "daft": lambda: daft("native"),
    "daft_ray": lambda: daft("ray"),
    "pyspark": pyspark,
}

if __name__ == "__main__":
    serve(WAYS[sys.argv[1]]())
