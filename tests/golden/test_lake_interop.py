"""Tables written in every way are read alike by the other readers of Delta tables."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import deltalake
import polars as pl
import pytest

from raypipe.lake import Lake, Table, expect

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venvs" / "peers" / "bin" / "python"
DUCKDB = ROOT / ".venvs" / "duckdb" / "bin" / "python"


def rows(start: int, n: int = 5) -> pl.DataFrame:
    k = range(start, start + n)
    return pl.DataFrame(
        {
            "k": k,
            "place": [["a b", "50%/ü=1", None][i % 3] for i in k],
            "x": [None if i % 4 == 0 else i / 2 for i in k],
            "day": [date(2013, 1, 1 + i % 28) for i in k],
            "at": [datetime(2013, 1, 1, 5, 6, 7, i) for i in k],
            "text": [f"ü{i}" * (i % 40) for i in k],
            "list": [list(range(i % 3)) for i in k],
            "pair": [{"a": i, "b": str(i)} for i in k],
            "money": [Decimal(i - 10) / 4 for i in k],
            "flag": [None if i % 5 == 0 else i % 2 == 0 for i in k],
            "raw": [None if i % 3 == 0 else bytes([i % 256, 255]) for i in k],
            "odd": [[float("nan"), float("inf"), -0.0, 1.0][i % 4] for i in k],
            "nothing": [None] * n,
        },
        schema_overrides={
            "place": pl.String,
            "x": pl.Float64,
            "nothing": pl.Int64,
            "list": pl.List(pl.Int64),
            "money": pl.Decimal(20, 2),
            "flag": pl.Boolean,
            "raw": pl.Binary,
        },
    )


def appended(lake: Lake) -> Table:
    table = lake.table("t")
    for n in range(0, 20, 5):
        table.append(rows(n), batch_id=str(n))
    return table


def overwritten(lake: Lake) -> Table:
    appended(lake).overwrite(rows(50))
    return lake.table("t")


def partitioned(lake: Lake) -> Table:
    table = lake.table("t", partition_by=("place", "day"))
    table.append(rows(0, 12))
    table.append(rows(12, 3))
    return table


def quarantined(lake: Lake) -> Table:
    table = lake.table("t", expect=[expect.between("k", 0, 7, on_fail="quarantine")])
    table.append(rows(0, 12))
    return table.quarantine()


def with_a_checkpoint(lake: Lake) -> Table:
    table = lake.table("t")
    for n in range(25):
        table.append(rows(n, 1), batch_id=str(n))
    return table


def evolved(lake: Lake) -> Table:
    table = appended(lake)
    fields = [deltalake.Field(n, deltalake.schema.PrimitiveType(t)) for n, t in MORE.items()]
    deltalake.DeltaTable(table.uri).alter.add_columns(fields)
    table.append(rows(90).with_columns(more=pl.lit(1.5), also=pl.lit("z")))
    return table


def merged(lake: Lake) -> Table:
    table = lake.table("t", properties={"delta.enableChangeDataFeed": "true"})
    table.append(rows(0, 12))
    table.merge(rows(10, 5).with_columns(text=pl.lit("new")), on="k")
    table.delete(pl.col("k") < 3)
    table.update(pl.col("k") == 5, {"x": 9.0})
    return table


def merged_by_partition(lake: Lake) -> Table:
    table = lake.table("t", partition_by="place")
    table.append(rows(0, 12))
    table.merge(rows(10, 5).with_columns(text=pl.lit("new")), on="k")
    table.overwrite(rows(30, 6).filter(pl.col("place") == "a b"), where=pl.col("place") == "a b")
    return table


def compacted(lake: Lake) -> Table:
    table = appended(lake)
    table.compact()
    table.append(rows(60))
    table.compact(z_order=("k", "day"))
    return table


def restored(lake: Lake) -> Table:
    table = appended(lake)
    table.overwrite(rows(70))
    table.restore(3)
    return table


MADE: list[Callable[[Lake], Table]] = [
    appended, overwritten, partitioned, quarantined, with_a_checkpoint, evolved, merged,
    merged_by_partition, compacted, restored,
]  # fmt: skip
MORE = {"more": "double", "also": "string"}


def same(got: pl.DataFrame, table: Table) -> None:
    expected = table.at().frame()
    order = ["k", "at"]
    got = got.select(expected.columns)
    for name, dtype in expected.schema.items():
        if got.schema[name] != dtype:  # large and small strings, units of time
            got = got.with_columns(pl.col(name).cast(dtype))
    assert expected.height > 0
    assert got.sort(order).equals(expected.sort(order))


@pytest.fixture(scope="module", params=MADE, ids=lambda made: made.__name__)
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Table:
    made: Table = request.param(Lake(tmp_path_factory.mktemp("lake")))
    return made


def test_by_deltalake(table: Table) -> None:
    opened = deltalake.DeltaTable(table.uri)
    same(pl.DataFrame(opened.scan()), table)
    same(pl.DataFrame(opened.to_pyarrow_table()), table)
    assert opened.version() == table.version()
    assert "view" not in str(opened.to_pyarrow_table().schema)


def test_by_polars(table: Table) -> None:
    same(pl.scan_delta(table.uri).collect(), table)
    some = pl.scan_delta(table.uri).filter(pl.col("k") == 4).collect()
    assert some.height == table.at().where(pl.col("k") == 4).count()


def test_by_ray(ray_session: None, table: Table) -> None:
    import pyarrow as pa
    import ray

    blocks = ray.get(ray.data.read_delta(table.uri).to_arrow_refs())
    same(pl.DataFrame(pa.concat_tables(blocks, promote_options="permissive")), table)


@pytest.mark.skipif(not PEERS.is_file(), reason="make peers installs Daft")
def test_by_daft(table: Table, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    script = (
        "import daft, json, sys, pyarrow.parquet\n"
        "frame = daft.read_deltalake(sys.argv[1])\n"
        "pyarrow.parquet.write_table(frame.to_arrow(), sys.argv[2])\n"
    )
    subprocess.run([str(PEERS), "-c", script, table.uri, str(out)], check=True, timeout=300)
    same(pl.read_parquet(out), table)


BY_DUCKDB = """
import pathlib, sys
import duckdb, duckdb_extension_delta
found = pathlib.Path(duckdb_extension_delta.__file__).parent.rglob("delta.duckdb_extension")
session = duckdb.connect()
session.execute(f"LOAD '{next(found)}'")
query = "SELECT * FROM delta_scan('{}') {}"
session.execute(f"COPY ({query.format(sys.argv[1], '')}) TO '{sys.argv[2]}' (FORMAT parquet)")
some = query.format(sys.argv[1], "WHERE k = 12 OR text > 'ü9'")
session.execute(f"COPY ({some}) TO '{sys.argv[3]}' (FORMAT parquet)")
"""


@pytest.mark.skipif(not DUCKDB.is_file(), reason="make peers installs DuckDB's reader of Delta")
def test_by_duckdb(table: Table, tmp_path: Path) -> None:
    out = [tmp_path / "all.parquet", tmp_path / "some.parquet"]
    command = [str(DUCKDB), "-c", BY_DUCKDB, table.uri, *map(str, out)]
    subprocess.run(command, check=True, timeout=300)
    same(pl.read_parquet(out[0]), table)
    where = (pl.col("k") == 12) | (pl.col("text") > "ü9")
    assert pl.read_parquet(out[1]).height == table.at().frame().filter(where).height


def test_no_file_holds_a_type_that_other_readers_refuse(table: Table) -> None:
    import pyarrow.parquet as pq

    for part in table.at().parts():
        assert "view" not in str(pq.read_schema(part.uri))


def test_every_line_of_the_log_has_one_known_action(table: Table) -> None:
    known = {"commitInfo", "protocol", "metaData", "add", "remove", "cdc", "txn"}
    for path in (Path(table.uri) / "_delta_log").glob("*.json"):
        for line in path.read_text().splitlines():
            action = json.loads(line)
            assert len(action) == 1
            assert set(action) <= known
