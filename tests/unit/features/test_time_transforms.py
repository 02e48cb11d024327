"""The transforms of times against Python's calendar and time zones."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe, transforms
from raypipe.features.zones import Zone, zone

t = transforms
PARTS = ["year", "month", "day", "weekday", "yearday", "hour", "minute", "second", "minute_of_day"]
ZONES = [
    "America/New_York",
    "Europe/Dublin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "UTC",
]


def _fit(*steps: Any, **columns: Any) -> FittedRecipe:
    return Recipe(*steps).fit(pl.DataFrame(columns))


def _times(count: int) -> list[datetime]:
    rng = random.Random(11)
    wide = [
        datetime(1900, 1, 1) + timedelta(seconds=rng.randrange(6_311_347_200)) for _ in range(count)
    ]
    # The minutes around every change of one year, where mistakes would show.
    near = [
        datetime(2021, 1, 1) + timedelta(days=day, hours=hour, minutes=minute)
        for day in (71, 72, 86, 92, 94, 276, 303, 309, 310, 102, 135)
        for hour in range(24)
        for minute in (0, 59)
    ]
    return wide + near


@pytest.mark.parametrize("name", ZONES)
def test_parts_are_those_of_the_local_clock(name: str) -> None:
    values = _times(300)
    fitted = _fit(t.date_parts("t", PARTS, tz=name), t=values)
    batch = fitted.transform(pl.DataFrame({"t": values})).to_numpy()
    for value, found in zip(values, batch, strict=True):
        here = value.replace(tzinfo=UTC).astimezone(ZoneInfo(name))
        want = [here.year, here.month, here.day, here.isoweekday(), here.timetuple().tm_yday]
        want += [here.hour, here.minute, here.second, here.hour * 60 + here.minute]
        assert found.tolist() == want, (value, here)
        assert fitted.row({"t": value}).tolist() == want


def test_the_hour_that_comes_twice_and_the_one_that_is_left_out() -> None:
    fitted = _fit(t.date_parts("t", ["hour"], tz="America/New_York"), t=[datetime(2020, 1, 1)])
    found = [
        int(fitted.row({"t": datetime(2013, month, day, hour)})[0])
        for month, day, hours in ((3, 10, (6, 7)), (11, 3, (5, 6)))
        for hour in hours
    ]
    assert found == [1, 3, 1, 1]


def test_a_date_has_no_zone_and_no_hour() -> None:
    for steps in (t.date_parts("d", ["day"], tz="UTC"), t.date_parts("d", ["minute_of_day"])):
        with pytest.raises(RecipeError, match="cannot take column 'd'"):
            _fit(steps, d=[date(2020, 1, 1)])


def test_the_zone_travels_with_the_recipe() -> None:
    stored = json.loads(Recipe(t.date_parts("t", ["hour"], tz="Asia/Kolkata")).to_json())
    # As if the rules had been others where the recipe was made.
    offsets = stored["transforms"][0]["tz"]["offsets"]
    stored["transforms"][0]["tz"]["offsets"] = [3600 if offset else 0 for offset in offsets]
    fitted = Recipe.from_json(stored).fit(pl.DataFrame({"t": [datetime(2020, 1, 1)]}))
    assert fitted.row({"t": datetime(2020, 1, 1, 10)}).tolist() == [11]


def test_a_recipe_without_zone_is_stored_as_it_always_was() -> None:
    assert t.date_parts("t", ["hour"]).to_json() == {"column": "t", "parts": ["hour"]}


@pytest.mark.parametrize("tz", ["Mars/Olympus", "", "../etc/passwd", "a" * 500, 5])
def test_an_unknown_zone_is_refused(tz: Any) -> None:
    with pytest.raises(RecipeError, match="time zone") as refused:
        t.date_parts("t", ["hour"], tz=tz)
    assert refused.value.field == "tz"


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"at": [5, 4]},
        {"at": "x"},
        {"at": [0.5]},
        {"offsets": [0]},
        {"at": [10**15], "offsets": [0, 0]},
        {"at": [0], "offsets": [0, 90_000]},
        {"at": [0], "offsets": [0, 3600]},
        {"more": 1},
    ],
)
def test_a_changed_table_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="stored time zone"):
        Zone.from_json({**zone("Europe/Paris").to_json(), **change})
    assert Zone.from_json(zone("Europe/Paris").to_json()) == zone("Europe/Paris")


def test_the_ends_of_the_calendar_have_a_local_time() -> None:
    fitted = _fit(t.date_parts("t", ["hour", "year"], tz="Asia/Tokyo"), t=[datetime(2020, 1, 1)])
    for value in (datetime(9999, 12, 31, 23, 59), datetime(1, 1, 1)):
        assert fitted.row({"t": value}).tolist() == [value.hour, value.year]
    assert fitted.row({"t": datetime(2150, 1, 1)}).tolist() == [9, 2150]


def test_the_calendar_of_dates() -> None:
    parts = ["iso_year", "quarter", "week", "weekend", "days_in_month"]
    fitted = _fit(t.date_parts("d", parts), d=[date(2020, 1, 1)])
    cases = {
        date(2021, 1, 3): [2020, 1, 53, 1, 31],
        date(2020, 2, 29): [2020, 1, 9, 1, 29],
        date(2018, 12, 31): [2019, 4, 1, 0, 31],
        date(1900, 2, 1): [1900, 1, 5, 0, 28],
    }
    for value, want in cases.items():
        assert fitted.row({"d": value}).tolist() == want
    assert fitted.transform(pl.DataFrame({"d": list(cases)})).rows() == [
        tuple(map(float, want)) for want in cases.values()
    ]
    assert np.isnan(fitted.row({"d": None})).all()


def test_points_on_a_circle() -> None:
    fitted = _fit(t.date_parts("t", ["hour", "month"], cyclical=True), t=[datetime(2020, 1, 1)])
    assert fitted.feature_names == ("t_hour_sin", "t_hour_cos", "t_month_sin", "t_month_cos")
    found = fitted.row({"t": datetime(2020, 4, 5, 18)}).tolist()
    assert found == pytest.approx([-1, 0, 1, 0], abs=1e-7)
    assert np.isnan(fitted.row({"t": None})).all()
    with pytest.raises(RecipeError, match="circle"):
        t.date_parts("t", ["year"], cyclical=True)


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [("milliseconds", 0.001), ("seconds", 1), ("minutes", 60), ("hours", 3600), ("weeks", 604800)],
)
def test_time_between(unit: str, seconds: float) -> None:
    fitted = _fit(
        t.time_between("a", "b", unit=unit), a=[datetime(2020, 1, 1)], b=[date(2020, 1, 2)]
    )
    assert fitted.feature_names == (f"a_to_b_{unit}",)
    rng = random.Random(2)
    for _ in range(50):
        start = datetime(2000, 1, 1) + timedelta(microseconds=rng.randrange(10**15))
        end = date(2000, 1, 1) + timedelta(days=rng.randrange(11_000))
        want = (datetime(end.year, end.month, end.day) - start).total_seconds() / seconds
        (found,) = fitted.row({"a": start, "b": end}).tolist()
        assert found == pytest.approx(want, rel=1e-6)
        frame = pl.DataFrame({"a": [start], "b": [end]})
        assert fitted.transform(frame).to_numpy().tolist() == [[found]]
    assert math.isnan(fitted.row({"a": None, "b": date(2020, 1, 1)})[0])


def test_whole_and_tiny_differences_keep_their_digits() -> None:
    fitted = _fit(
        t.time_between("a", "b", unit="weeks"), a=[datetime(2020, 1, 1)], b=[datetime(2020, 1, 1)]
    )
    start = datetime(2020, 1, 8)
    assert fitted.row({"a": start, "b": start - timedelta(weeks=3)}).tolist() == [-3]
    (tiny,) = fitted.row({"a": start, "b": start - timedelta(microseconds=1)}).tolist()
    assert tiny == pytest.approx(-1 / 604_800_000_000, rel=1e-6)
    assert math.copysign(1, fitted.row({"a": start, "b": start})[0]) == 1
    with pytest.raises(RecipeError, match="unit"):
        t.time_between("a", "b", unit="months")


def test_times_of_texts() -> None:
    values = ["2013-01-31T05:30:00.25", "2013-01-31 05:30:00", "2013-02-30T00:00:00",
              "2013-01-31T05:30:60", "0000-01-01T00:00:00", "2013-01-31", "", None]  # fmt: skip
    steps = (*t.cast(x="datetime", strict=False), *t.cast(x="int64"), *t.select("x"))
    fitted = _fit(*steps, x=["2013-01-31T05:30:00"])
    second = (datetime(2013, 1, 31, 5, 30) - datetime(1970, 1, 1)).total_seconds()
    want = np.float32([(second + 0.25) * 1e6, second * 1e6, *[math.nan] * 6])
    np.testing.assert_array_equal([fitted.row({"x": value})[0] for value in values], want)
    np.testing.assert_array_equal(fitted.transform(pl.DataFrame({"x": values}))["x"], want)
