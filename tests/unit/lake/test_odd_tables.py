"""Tables of odd shapes and values, and what a terminal shows of writes to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.lake import Lake, expect

FEED = {"delta.enableChangeDataFeed": True}


def test_a_merge_whose_columns_are_all_keys_only_adds(lake_root: str) -> None:
    table = Lake(lake_root).table("seen")
    table.append(pl.DataFrame({"k": [1]}))
    done = table.merge(pl.DataFrame({"k": [1, 2]}), on="k")
    assert (done.inserted, done.updated) == (1, 0)
    assert table.merge(pl.DataFrame({"k": [2]}), on="k").version == done.version
    source = pl.DataFrame({"k": [1, 2], "gone": [True, False]})
    done = table.merge(source, on="k", delete_when=pl.col("gone"))
    assert (done.inserted, done.updated, done.deleted) == (0, 0, 1)
    assert table.at().frame()["k"].to_list() == [2]


def test_times_before_the_year_1000_partition_a_table(lake_root: str) -> None:
    table = Lake(lake_root).table("t", partition_by="at")
    times = [datetime(1, 1, 1), datetime(999, 12, 31, 23, 59, 59, 999_999), datetime(2026, 1, 1)]
    table.append(pl.DataFrame({"at": times, "v": [1, 2, 3]}))
    assert sorted(table.at().frame()["at"]) == times
    assert [table.at().where(pl.col("at") == time).count() for time in times] == [1, 1, 1]


@pytest.mark.parametrize("name", ["_change_type", "_commit_version", "_commit_timestamp"])
def test_columns_that_the_change_feed_needs(lake_root: str, name: str) -> None:
    lake = Lake(lake_root)
    with pytest.raises(SchemaError, match="change feed"):
        lake.table("t", properties=FEED).append(pl.DataFrame({name: [1], "k": [1]}))
    assert not lake.table("t").exists
    joins = lake.table("u", properties=FEED, evolve="add")
    joins.append(pl.DataFrame({"k": [1]}))
    with pytest.raises(SchemaError, match="change feed"):
        joins.append(pl.DataFrame({name: [1], "k": [1]}))
    assert lake.table("v").append(pl.DataFrame({name: [1]})).rows == 1


@pytest.mark.parametrize("name", ["_reasons", "_batch", ""])
def test_declared_columns_are_judged_as_those_of_data_are(lake_root: str, name: str) -> None:
    table = Lake(lake_root).table("t", schema={name: pl.Int64, "k": pl.Int64})
    with pytest.raises(SchemaError):
        table.append(pl.DataFrame({name: [1], "k": [1]}))
    assert not table.exists


def test_a_single_expectation_needs_no_list(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=expect.unique("k", on_fail="drop"))
    assert table.append(pl.DataFrame({"k": [1, 1]})).dropped == 1
    for wrong in (7, [7], "k", ["k"]):
        with pytest.raises(ConfigError, match="not an expectation"):
            Lake(lake_root).table("t", expect=wrong)  # type: ignore[arg-type]


def test_what_a_terminal_shows_of_a_write_is_short(lake_root: str) -> None:
    rules = [
        expect.between("k", 0, 10, on_fail="quarantine"),
        *expect.not_null("k"),
        expect.row_count(1, 5),
    ]
    table = Lake(lake_root).table("t", expect=rules)
    done = table.append(pl.DataFrame({"k": [1, 11]}), batch_id="b")
    assert repr(done) == "Commit('t', version 1, 1 of 2 rows, 1 quarantined)"
    again = table.append(pl.DataFrame({"k": [1, 11]}), batch_id="b")
    assert repr(again) == "Commit('t', version 1, applied before: 1 rows, 1 quarantined)"
    assert repr(done.report) == (
        "Report(2 rows in, 1 kept, 1 quarantined, 0 dropped\n"
        "  between(k, 0, 10), quarantine: 1 of 2\n"
        "  2 other expectations hold)"
    )
    held = table.check(pl.DataFrame({"k": [1]}))
    assert repr(held) == "Report(1 rows in, 1 kept, 0 quarantined, 0 dropped, 3 expectations hold)"
    assert repr(held.outcomes[0]) == "Outcome('between(k, 0, 10)', quarantine, holds, 0 of 1)"
    assert repr(held.outcomes[2]).endswith("fail, holds, 1 in [1, 5])")


@pytest.mark.parametrize("where", [pl.col("b") > 1, pl.col("at") > datetime(2020, 1, 1)])
def test_filters_of_another_type_are_told_when_they_are_made(
    lake_root: str, where: pl.Expr
) -> None:
    types = {"b": pl.String(), "at": pl.Datetime("us", "UTC")}
    table = Lake(lake_root).table("t", schema=types)
    table.append(pl.DataFrame({"b": ["x"], "at": [datetime(2026, 1, 1, tzinfo=UTC)]}, schema=types))
    for call in (table.at().where, table.delete, lambda e: table.at().select(x=e)):
        with pytest.raises(SchemaError):
            call(where)


def test_arguments_of_a_wrong_kind(lake_root: str) -> None:
    lake = Lake(lake_root)
    table, rows = lake.table("t"), pl.DataFrame({"k": [1]})
    calls: list[Callable[[], object]] = [
        lambda: lake.table("u", partition_by=5),  # type: ignore[arg-type]
        lambda: lake.table("u", sort_by=None),  # type: ignore[arg-type]
        lambda: table.merge(rows, on=5),  # type: ignore[arg-type]
        lambda: table.append(rows, metadata=5),  # type: ignore[arg-type]
        lambda: table.append(rows, metadata={"x": "\ud800"}),
        lambda: table.append(rows, batch_id="\ud800"),
        lambda: table.has_batch("\ud800"),
    ]
    for call in calls:
        with pytest.raises(ConfigError):
            call()
    assert not table.exists


def test_a_table_is_not_sorted_by_a_column_that_it_lacks(lake_root: str) -> None:
    lake, rows = Lake(lake_root), pl.DataFrame({"k": [1]})
    with pytest.raises(SchemaError, match="sorted by"):
        lake.table("t", sort_by="x").append(rows)
    assert not lake.table("t").exists
    table = lake.table("t", sort_by="x", evolve="add")
    table.append(rows)
    table.append(pl.DataFrame({"k": [1, 2], "x": [2, 1]}))
    assert table.at().frame()["x"].to_list() == [None, 1, 2]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("delta.enableChangeDataFeed", "maybe"),
        ("delta.appendOnly", "oui"),
        ("raypipe.checks", "no"),
        ("delta.checkpointInterval", 0),
        ("delta.logRetentionDuration", "a while"),
        ("delta.setTransactionRetentionDuration", "7"),
    ],
)
def test_properties_that_nothing_would_understand(lake_root: str, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match="cannot have this value"):
        Lake(lake_root).table("t", properties={key: value})
