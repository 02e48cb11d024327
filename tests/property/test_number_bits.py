"""The transforms of numbers and times give the same bits in batch, row and from JSON."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.features import FittedRecipe, Recipe, transforms

SCHEMA: dict[str, Any] = {
    "f": pl.Float64(),
    "g": pl.Float64(),
    "i": pl.Int64(),
    "b": pl.Boolean(),
    "t": pl.Datetime("us"),
    "u": pl.Datetime("us"),
    "d": pl.Date(),
    "s": pl.String(),
}
EDGE = [0.0, -0.0, 0.5, -1.0, 90.0, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf]
NUMBERS = st.floats() | st.sampled_from(EDGE) | st.floats(-200, 200)
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)) | st.datetimes(
    datetime(1950, 1, 1), datetime(2050, 1, 1)
)
TEXTS = (
    st.text(max_size=4)
    | st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    | st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,7})?)?\n?",
        fullmatch=True,
    )
    | st.sampled_from(
        [
            "true",
            "false",
            "True",
            "1\n",
            "nan",
            "inf",
            "1_0",
            "٣",
            " 1",
            "1e999",
            "2013-01-31T05:30:00",
        ]
    )
)
VALUES = {
    "f": NUMBERS,
    "g": NUMBERS,
    "i": st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5),
    "b": st.booleans(),
    "t": TIMES,
    "u": TIMES,
    "d": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "s": TEXTS,
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})
ROWS = st.lists(ROW, min_size=1, max_size=8)

t = transforms
ALL = ["year", "iso_year", "quarter", "month", "week", "day", "weekday", "weekend", "yearday"]
CLOCK = [*ALL, "days_in_month", "hour", "minute", "second", "minute_of_day"]
ROUND = [part for part in CLOCK if part not in ("year", "iso_year", "weekend", "days_in_month")]
RECIPES: list[Any] = [
    *(t.scale("f", "i", "b", how=how) for how in ("standard", "min_max", "robust", "max_abs")),
    t.clip("f", "i", low=-0.0, high=1e17),
    t.clip("f", "i", quantiles=(0.1, 0.7)),
    t.log1p("f", "i"),
    t.signed_log("f", "i"),
    *(t.power("f", "i", exponent=p) for p in (-3, -1, -0.5, -0.3, 0.37, 0.5, 2, 5, 8)),
    t.bins("f", "i", count=5),
    t.bins("f", "i", "b", count=5, how="uniform"),
    t.bins("f", "i", edges=[-1e300, -1, 0, 5e-324, 3, 2.0**62]),
    t.cyclical("f", "i", period=360),
    t.date_parts("t", CLOCK),
    t.date_parts("d", ALL),
    *(t.date_parts("t", CLOCK, tz=tz) for tz in ("America/New_York", "Asia/Kolkata", "UTC")),
    t.date_parts("t", ROUND, tz="Pacific/Apia", cyclical=True),
    *(t.time_between(a, b, unit=u) for a, b, u in (("t", "u", "weeks"), ("d", "u", "hours"))),
    (t.ratio("f", "g"), t.ratio("i", "f", zero=7), t.ratio("b", "i"), t.ratio("i", "b")),
    t.interactions("f", "g", "i", "b", squares=True),
    t.geo_distance(("f", "g"), ("i", "g")),
    t.geo_distance(("f", "i"), ("g", "f"), unit="nmi"),
    *(t.impute("f", "i", "b", strategy=way, indicator=True) for way in ("mean", "mode")),
    t.cast(f="int64", i="bool", b="float64", t="int64", d="int64", strict=False),
    (*t.cast(s="float64", strict=False), *t.select("s")),
    (*t.cast(s="int64", strict=False), *t.select("s")),
    (*t.cast(s="bool", strict=False), *t.select("s")),
    (*t.cast(s="date", strict=False), t.date_parts("s", ALL)),
    (*t.cast(s="datetime", strict=False), t.date_parts("s", CLOCK)),
    (*t.cast(t="date", strict=False), t.date_parts("t", ALL)),
    (*t.cast(d="datetime"), t.time_between("d", "t")),
    (*t.cast(i="string"), *t.impute("i", strategy="mode"), *t.one_hot("i")),
    (*t.cast(d="string"), *t.one_hot("d")),
    (*t.clip("f", "g", low=-1e9, high=1e9), *t.scale("f", "g"), t.interactions("f", "g")),
]
FIRST = {
    "f": 1.5,
    "g": 2.0,
    "i": 3,
    "b": True,
    "t": datetime(2020, 3, 8, 7),
    "u": None,
    "d": date(2, 2, 2),
}


HEALTH: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


def _bits(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float32).tobytes()


def _agree(number: int, seen: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
    rows = [*seen, {**FIRST, "s": "1"}]
    recipe = Recipe(RECIPES[number]).fit(pl.DataFrame(rows, schema=SCHEMA))
    again = FittedRecipe.from_json(recipe.to_json())
    assert again.to_json() == recipe.to_json()
    rows += asked
    frame = pl.DataFrame(rows, schema=SCHEMA)
    bits = _bits(recipe.transform(frame).to_numpy())
    mine = [{name: row[name] for name in recipe.inputs} for row in rows]
    assert _bits(recipe.rows(mine)) == bits
    assert _bits(recipe._rows_scorer().through_polars(mine)) == bits
    for one in (recipe, again):
        assert _bits([one.row(row) for row in mine]) == bits
    assert _bits(again.transform(frame[:1]).to_numpy()) == bits[: len(bits) // len(rows)]


@pytest.mark.parametrize("number", range(len(RECIPES)))
@settings(max_examples=8, derandomize=True, **HEALTH)
@given(seen=ROWS, asked=ROWS)
def test_batch_row_and_json_agree(number: int, seen: Any, asked: Any) -> None:
    _agree(number, seen, asked)


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(RECIPES)))
@settings(max_examples=300, **HEALTH)
@given(seen=ROWS, asked=ROWS)
def test_batch_row_and_json_agree_of_many(number: int, seen: Any, asked: Any) -> None:
    _agree(number, seen, asked)
