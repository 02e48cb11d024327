"""One contender of ``lake_ingest``: ``python lake_ingest.py <way>``, fed by ``common.serve``.

The request names files of one format, ``csv`` or ``jsonl``, and the folder of the new table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import serve

Run = Callable[[dict[str, Any]], Any]


def raypipe(run_on: str, declared: bool) -> Run:
    import polars as pl

    import raypipe as rp

    if run_on == "ray":
        from raypipe.engine.cluster import ensure_ray

        ensure_ray()
    schema = {
        "l_orderkey": pl.Int64(), "l_partkey": pl.Int64(), "l_suppkey": pl.Int64(),
        "l_linenumber": pl.Int64(), "l_quantity": pl.Float64(), "l_extendedprice": pl.Float64(),
        "l_discount": pl.Float64(), "l_tax": pl.Float64(), "l_returnflag": pl.String(),
        "l_linestatus": pl.String(), "l_shipdate": pl.Date(), "l_commitdate": pl.Date(),
        "l_receiptdate": pl.Date(), "l_shipinstruct": pl.String(), "l_shipmode": pl.String(),
        "l_comment": pl.String(),
    }  # fmt: skip

    def run(request: dict[str, Any]) -> int:
        root = Path(request["out"])
        types = dict(schema)
        if request["kind"] == "jsonl":  # JSON has no dates
            types = {n: pl.String() if t == pl.Date() else t for n, t in schema.items()}
        table = rp.Lake(str(root.parent)).table(root.name, schema=types if declared else None)
        return table.append(request["files"], run_on=run_on).rows

    return run


def polars(request: dict[str, Any]) -> None:
    import polars as pl

    if request["kind"] == "csv":
        rows = pl.scan_csv(request["files"], try_parse_dates=True)
    else:
        rows = pl.scan_ndjson(request["files"])
    rows.sink_delta(request["out"])


def ray_data() -> Run:
    import ray

    ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def run(request: dict[str, Any]) -> None:
        read = ray.data.read_csv if request["kind"] == "csv" else ray.data.read_json
        options = {} if request["kind"] == "csv" else {"lines": True}
        files = request["files"]
        read(files, override_num_blocks=len(files), **options).write_delta(request["out"])

    return run


def duckdb(request: dict[str, Any]) -> None:
    """DuckDB parses, deltalake writes what it streams."""
    import duckdb as d
    from deltalake import write_deltalake

    connection = d.connect()
    read = "read_csv" if request["kind"] == "csv" else "read_json"
    rows = connection.execute(f"select * from {read}(?)", [request["files"]])  # noqa: S608
    write_deltalake(request["out"], rows.to_arrow_reader(1_000_000))


WAYS: dict[str, Callable[[], Run]] = {
    "local": lambda: raypipe("local", declared=True),
    "local-first": lambda: raypipe("local", declared=False),
    "ray": lambda: raypipe("ray", declared=True),
    "polars": lambda: polars,
    "ray_data": ray_data,
    "duckdb": lambda: duckdb,
}

if __name__ == "__main__":
    serve(WAYS[sys.argv[1]]())
