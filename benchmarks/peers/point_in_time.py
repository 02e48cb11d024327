"""Ways to join rows with the last features that were known at their times, from three tables."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import common

if TYPE_CHECKING:
    from collections.abc import Callable

Request = dict[str, Any]
TABLES = {"clicks": ["a1", "a2", "a3"], "balances": ["b1", "b2"], "profiles": ["c1"]}


def _told(frame: Any) -> dict[str, Any]:
    """What all ways must agree on: rows, and of each feature the nulls and the rounded sum."""
    import polars as pl

    names = [name for names in TABLES.values() for name in names]
    sums = frame.select(pl.col(names).fill_nan(None).sum().round(3)).row(0)
    nulls = frame.select(pl.col(names).fill_nan(None).null_count()).row(0)
    return {"rows": frame.height, "sums": list(sums), "nulls": list(nulls)}


def raypipe(request: Request) -> Any:
    import raypipe as rp

    lake = rp.Lake(request["lake"])
    begin = time.perf_counter()
    rows = lake.table("rows").at().frame()
    tables = [lake.table(name).at() for name in TABLES]
    joined = rp.point_in_time(rows, tables, on="user", time="at", feature_time="seen")
    seconds = time.perf_counter() - begin
    assert joined.select("user", "at", "amount").equals(rows)
    return seconds, _told(joined)


def polars(request: Request) -> Any:
    import polars as pl

    begin = time.perf_counter()
    rows = pl.read_parquet(request["files"]["rows"]).with_row_index("row").sort("at")
    for name in TABLES:
        table = pl.read_parquet(request["files"][name]).sort("seen")
        rows = rows.join_asof(
            table, left_on="at", right_on="seen", by="user", check_sortedness=False, coalesce=True
        ).drop("seen", strict=False)
    rows = rows.sort("row").drop("row")
    return time.perf_counter() - begin, _told(rows)


def duckdb(request: Request) -> Any:
    import duckdb

    files = {name: str(paths) for name, paths in request["files"].items()}
    names = ", ".join(f"{table}.{name}" for table, names in TABLES.items() for name in names)
    joins = " ".join(
        f"asof left join read_parquet({files[name]}) {name} "
        f"on r.user = {name}.user and r.at >= {name}.seen"
        for name in TABLES
    )
    begin = time.perf_counter()
    joined = duckdb.sql(
        f"with r as (select *, row_number() over () as number from read_parquet({files['rows']})) "  # noqa: S608
        f"select r.user, r.at, r.amount, {names} from r {joins} order by r.number"
    ).pl()
    return time.perf_counter() - begin, _told(joined)


def feast(request: Request) -> Any:
    """The file store: one parquet file a table, with times in UTC; made beforehand, not timed."""
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64

    folder = Path(tempfile.mkdtemp(prefix="raypipe-bench-feast-"))
    try:
        store = FeatureStore(
            config=RepoConfig(
                project="bench",
                provider="local",
                registry=str(folder / "registry.db"),
                online_store=None,
                offline_store={"type": "file"},
                entity_key_serialization_version=3,
            )
        )
        user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
        views = []
        for name, columns in TABLES.items():
            table = pd.concat([pd.read_parquet(path) for path in request["files"][name]])
            table["seen"] = table["seen"].dt.tz_localize("UTC")
            path = folder / f"{name}.parquet"
            table.to_parquet(path)
            source = FileSource(path=str(path), timestamp_field="seen")
            fields = [Field(name=column, dtype=Float64) for column in columns]
            views.append(
                FeatureView(
                    name=name, entities=[user], schema=fields, source=source,
                    ttl=timedelta(days=1000), online=False,
                )
            )  # fmt: skip
        store.apply([user, *views])
        rows = pd.concat([pd.read_parquet(path) for path in request["files"]["rows"]])
        rows = rows.rename(columns={"at": "event_timestamp"})
        rows["event_timestamp"] = rows["event_timestamp"].dt.tz_localize("UTC")
        wanted = [f"{name}:{column}" for name, columns in TABLES.items() for column in columns]
        begin = time.perf_counter()
        found = store.get_historical_features(entity_df=rows, features=wanted).to_df()
        seconds = time.perf_counter() - begin
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    columns = [column for columns in TABLES.values() for column in columns]
    return seconds, {
        "rows": len(found),
        "sums": [round(float(found[column].sum()), 3) for column in columns],
        "nulls": [int(found[column].isna().sum()) for column in columns],
    }


WAYS: dict[str, Callable[[Request], Any]] = {
    "raypipe": raypipe,
    "polars": polars,
    "duckdb": duckdb,
    "feast": feast,
}

if __name__ == "__main__":
    common.serve(WAYS[sys.argv[1]])
