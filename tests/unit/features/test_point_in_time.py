from __future__ import annotations

import logging
import time as clock
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, LakeError, RecipeError
from raypipe.features import FeatureTable, point_in_time
from raypipe.features.asof import join

FLIGHTS = pl.DataFrame(
    {
        "origin": ["JFK", "LGA", "JFK", None, "EWR"],
        "at": [datetime(2013, 1, 1, hour) for hour in (9, 5, 3, 5, 5)],
    }
)
WEATHER = pl.DataFrame(
    {
        "origin": ["JFK", "JFK", "JFK", "LGA", None],
        "seen": [datetime(2013, 1, 1, hour) for hour in (8, 4, 8, 5, 1)],
        "temp": [1.0, 2.0, 3.0, 4.0, 5.0],
        "wind": [1, 2, 3, 4, 5],
    }
)


def _join(**changes: Any) -> Any:
    asked = {"on": "origin", "time": "at", "feature_time": "seen", **changes}
    return point_in_time(asked.pop("entities", FLIGHTS), asked.pop("features", WEATHER), **asked)


def test_the_last_known_row_is_taken_and_never_a_later_one() -> None:
    joined = _join()
    assert joined.columns == ["origin", "at", "temp", "wind"]
    assert joined["temp"].to_list() == [3.0, 4.0, None, None, None]
    assert joined.select("origin", "at").equals(FLIGHTS)


def test_tolerance_columns_and_lazy_frames() -> None:
    joined = _join(
        entities=FLIGHTS.lazy(), features=WEATHER.lazy(), tolerance=timedelta(minutes=30),
        columns=["temp"],
    )  # fmt: skip
    assert isinstance(joined, pl.LazyFrame)
    assert joined.collect()["temp"].to_list() == [None, 4.0, None, None, None]


def test_dates_and_one_name_for_both_times() -> None:
    left = pl.DataFrame({"k": [1], "day": [date(2013, 1, 2)]})
    right = pl.DataFrame({"k": [1], "day": [date(2013, 1, 1)], "v": [7]})
    assert point_in_time(left, right, on=["k"], time="day")["v"].to_list() == [7]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"on": "airport"}, "airport"),
        ({"on": []}, "on"),
        ({"time": "seen"}, "seen"),
        ({"feature_time": "when"}, "when"),
        ({"columns": ["rain"]}, "rain"),
        ({"columns": ["temp", "temp"]}, "columns"),
        ({"entities": FLIGHTS.with_columns(temp=1)}, "temp"),
        ({"entities": FLIGHTS.with_columns(pl.col("at").cast(pl.Date))}, "at"),
        ({"features": WEATHER.with_columns(origin=1)}, "origin"),
        ({"tolerance": timedelta(-1)}, "tolerance"),
        ({"entities": FLIGHTS.with_columns(at=1), "features": WEATHER.with_columns(seen=1)}, "at"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RecipeError) as refused:
        _join(**changes)
    assert refused.value.field == field


def test_several_tables_each_with_its_own_names() -> None:
    planes = pl.DataFrame(
        {"airport": ["JFK", "LGA"], "day": [datetime(2013, 1, 1)] * 2, "temp": ["x", "y"]}
    )
    joined = point_in_time(
        FLIGHTS,
        [
            FeatureTable(WEATHER, columns=["temp", "seen"], tolerance=timedelta(hours=1)),
            FeatureTable(planes.lazy(), time="day", on="airport", prefix="plane_"),
        ],
        on="origin",
        time="at",
        feature_time="seen",
    )
    assert joined.columns == ["origin", "at", "temp", "seen", "plane_temp"]
    assert joined["temp"].to_list() == [3.0, 4.0, None, None, None]
    assert joined["seen"].to_list()[:2] == [datetime(2013, 1, 1, 8), datetime(2013, 1, 1, 5)]
    assert joined["plane_temp"].to_list() == ["x", "y", "x", None, None]


def test_of_one_event_the_value_known_last_counts_and_only_once_it_is_known() -> None:
    at = [datetime(2013, 1, 1, hour) for hour in range(5)]
    told = pl.DataFrame(
        {
            "k": ["a"] * 4,
            "of": [at[1], at[1], at[0], at[2]],
            "told": [at[2], at[1], at[3], at[4]],
            "v": [2, 1, 0, 3],
        }
    )
    rows = pl.DataFrame({"k": ["a"] * 5, "t": at})
    table = FeatureTable(told, time="of", known="told")
    joined = point_in_time(rows, table, on="k", time="t")
    assert joined["v"].to_list() == [None, 1, 2, 2, 3]  # that of hour 0 came after a newer one
    near = point_in_time(rows, table, on="k", time="t", tolerance=timedelta(hours=1))
    assert near["v"].to_list() == [None, 1, 2, None, None]


def test_each_row_sees_the_table_as_it_was_when_it_was_asked(lake_root: str) -> None:
    table = rp.Lake(lake_root).table("prices")
    day = [datetime(2013, 1, day) for day in (1, 2, 3)]

    def commit(change: Any) -> datetime:
        clock.sleep(0.02)
        change()
        return table.history(1)[0]["at"]

    first = commit(
        lambda: table.append(
            pl.DataFrame(
                {"item": ["a", "a", "b"], "day": [day[0], day[1], day[0]], "price": [1, 2, 7]}
            )
        )
    )
    corrected = commit(lambda: table.update(pl.col("price") == 2, set={"price": 20}))
    deleted = commit(lambda: table.delete(pl.col("price") == 20))
    compacted = commit(table.compact)
    late = commit(
        lambda: table.append(pl.DataFrame({"item": ["a"], "day": [day[0]], "price": [100]}))
    )
    asked = [
        first - timedelta(milliseconds=1), first, corrected, deleted, compacted, late,
    ]  # fmt: skip
    rows = pl.DataFrame({"item": ["a"] * 6, "at": asked})
    history = FeatureTable(table.changes(since=-1), time="day")
    joined = point_in_time(rows, history, on="item", time="at")
    assert joined["price"].to_list() == [None, 2, 20, 1, 1, 100]
    now = point_in_time(rows, table.at(), on="item", time="at", feature_time="day")
    assert now["price"].to_list() == [100] * 6  # the present values, of those events
    with pytest.raises(RecipeError, match="since=-1"):
        point_in_time(rows, table.changes(since=0), on="item", time="at", feature_time="day")


def test_every_version_of_a_table_is_what_its_history_says(lake_root: str) -> None:
    """Any changes: at a version's time, the history joins as the table of that version does."""
    rng = np.random.default_rng(11)
    table = rp.Lake(lake_root).table("prices")
    days = [datetime(2013, 1, day) for day in range(1, 9)]

    def some(count: int) -> pl.DataFrame:
        pairs = rng.choice(24, count, replace=False)
        return pl.DataFrame(
            {
                "item": [int(p) % 3 for p in pairs],
                "day": [days[int(p) // 3] for p in pairs],
                "price": rng.integers(0, 4, count),
            }
        )

    table.append(some(8))
    for step in range(12):
        clock.sleep(0.01)
        below = pl.col("price") < int(rng.integers(1, 3))
        way = ["merge", "delete", "update", "merge", "overwrite", "compact"][step % 6]
        if way == "merge":
            table.merge(some(6), on=["item", "day"])
        elif way == "delete":
            table.delete(below)
        elif way == "update":
            table.update(below, set={"price": pl.col("price") + 3})
        elif way == "overwrite":
            table.overwrite(some(9))
        else:
            table.compact()
    history = FeatureTable(table.changes(since=-1), time="day")
    for entry in table.history():
        rows = pl.DataFrame({"item": [0, 1, 2], "at": [entry["at"]] * 3})
        told = point_in_time(rows, history, on="item", time="at")
        then = FeatureTable(table.at(version=entry["version"]), time="day")
        assert told.equals(point_in_time(rows, then, on="item", time="at")), entry


def test_a_lazy_join_reads_only_the_features_that_are_used(lake_root: str) -> None:
    table = rp.Lake(lake_root).table("weather")
    for part in WEATHER.iter_slices(2):
        table.append(part)
    joined = point_in_time(FLIGHTS.lazy(), table.at(), on="origin", time="at", feature_time="seen")
    assert joined.select("wind").collect()["wind"].to_list() == [3, 4, None, None, None]
    assert joined.filter(pl.col("temp") > 3).collect().height == 1
    assert joined.head(2).collect()["temp"].to_list() == [3.0, 4.0]
    assert joined.select("at").collect().equals(FLIGHTS.select("at"))
    assert joined.select(pl.len()).collect().item() == 5


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_a_file_that_is_gone_is_named(lake_root: str, most: int) -> None:
    table = rp.Lake(lake_root).table("weather")
    table.append(WEATHER)
    now = table.at()
    (part,) = now.parts()
    Path(part.uri).unlink()
    with patch.object(join, "_ROWS_AT_ONCE", most or 1), pytest.raises(LakeError) as broken:
        point_in_time(FLIGHTS, now, on="origin", time="at", feature_time="seen")
    assert Path(part.uri).name in str(broken.value)


def test_one_key_with_most_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    count = 300_000
    key = np.where(rng.random(count) < 0.9, 0, rng.integers(1, 1000, count))
    time = rng.integers(0, 10**9, count)
    frame = pl.DataFrame({"k": key, "t": time}).with_columns(pl.col("t").cast(pl.Datetime("us")))
    features, rows = frame.head(200_000).with_columns(v=pl.int_range(pl.len())), frame.tail(100_000)
    joined = point_in_time(rows, features, on="k", time="t")
    right = (
        rows.with_row_index("r").sort("t")
        .join_asof(features.sort("t", maintain_order=True), on="t", by="k", check_sortedness=False)
        .sort("r")
    )  # fmt: skip
    assert joined["v"].equals(right["v"])
    texts = pl.col("k").cast(pl.String)
    again = point_in_time(rows.with_columns(texts), features.with_columns(texts), on="k", time="t")
    assert again["v"].equals(right["v"])


def test_no_rows_on_either_side() -> None:
    assert _join(entities=FLIGHTS.head(0)).columns == ["origin", "at", "temp", "wind"]
    assert _join(features=WEATHER.head(0))["temp"].to_list() == [None] * 5
    assert _join(entities=FLIGHTS.with_columns(origin=pl.lit(None, pl.String)))["wind"].count() == 0


def test_where_it_runs_is_said_and_forced(
    ray_session: None, lake_root: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = rp.Lake(lake_root).table("weather")
    for part in WEATHER.iter_slices(1):
        table.append(part)
    asked = {"on": "origin", "time": "at", "feature_time": "seen"}
    with caplog.at_level(logging.INFO, "raypipe.features.asof.join"):
        here = point_in_time(FLIGHTS, [table.at()], **asked, run_on="auto")  # type: ignore[call-overload]
        there = point_in_time(FLIGHTS, [table.at()], **asked, run_on="ray")  # type: ignore[call-overload]
    assert here.equals(there)
    assert here["temp"].to_list() == [3.0, 4.0, None, None, None]
    ours = [record for record in caplog.records if record.name.startswith("raypipe")]
    told = [record.getMessage() for record in ours]
    assert [line.split(", ")[1].split(":")[0] for line in told] == ["local", "ray"]
    with pytest.raises(ConfigError):
        point_in_time(FLIGHTS, table.at(), **asked, run_on="moon")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("tables", "field"),
    [
        ([], "feature_tables"),
        ([FeatureTable(WEATHER, time="seen", on=["origin", "temp"])], "on"),
        ([FeatureTable(WEATHER, time="seen", on=["origin", "origin"])], "on"),
        ([FeatureTable(WEATHER, time="seen", known="told")], "told"),
        ([FeatureTable(WEATHER, time="seen", known="temp")], "at"),
        ([FeatureTable(WEATHER, time="seen", until="origin")], "at"),
        ([FeatureTable(WEATHER, time="seen"), FeatureTable(WEATHER, time="seen")], "temp"),
        ([FeatureTable(WEATHER, time="seen", tolerance=timedelta(-1))], "tolerance"),
        ([7], "the features"),
    ],
)
def test_a_table_that_cannot_be_joined_is_refused_by_name(tables: Any, field: str) -> None:
    with pytest.raises(RecipeError) as refused:
        point_in_time(FLIGHTS, tables, on="origin", time="at")
    assert refused.value.field == field


@pytest.mark.parametrize("tolerance", [3, "3d", 1.5])
def test_a_tolerance_that_is_no_duration(tolerance: Any) -> None:
    one = pl.DataFrame({"k": [1], "at": [datetime(2025, 1, 1)]})
    with pytest.raises(RecipeError, match=r"no duration: got .*3d|no duration: got \d") as told:
        rp.point_in_time(one, one.with_columns(v=1), on="k", time="at", tolerance=tolerance)
    assert told.value.field == "tolerance"
