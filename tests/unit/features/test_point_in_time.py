from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import point_in_time

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
