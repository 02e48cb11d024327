"""What null, NaN, infinities, unseen and empty values and zones mean, for every transform."""

from __future__ import annotations

import inspect
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl
import pytest

from raypipe.features import FittedRecipe, Recipe
from raypipe.features import transforms as T  # noqa: N812
from raypipe.features.transforms import KINDS, Transform
from raypipe.features.transforms.earlier import Window
from raypipe.features.transforms.hashing import text_bucket

NAN, INF = math.nan, math.inf
SEEN = pl.DataFrame(
    {
        "x": [1.0, 3.0, None, NAN, INF],
        "two": [2.0] * 5,
        "s": ["a", "b", "a", None, ""],
        "t": [datetime(2020, 1, day) for day in range(1, 6)],
        "y": [0, 1, 0, 1, 1],
    }
)
TABLE = pl.DataFrame({"s": ["a", ""], "size": [1, 2]})

# What is asked of every kind over numbers, over texts, and over times.
NUMBERS = [None, NAN, INF, -INF]
TEXTS = [None, "", "new"]
EAST = timezone(timedelta(hours=2))
TIMES = [None, datetime(2020, 7, 1, 10), datetime(2020, 7, 1, 12, tzinfo=EAST)]

AS_IT_IS = [NAN, NAN, INF, -INF]
OF_NUMBERS: dict[str, tuple[Any, str, list[float]]] = {
    "derive": (T.derive(z=pl.col("x") * 2), "z", AS_IT_IS),
    "select": (T.select("x"), "x", AS_IT_IS),
    "drop": (
        (*T.scale("x", how="max_abs"), *T.bins("x", edges=[0]), *T.drop("x_bin")),
        "x",
        AS_IT_IS,
    ),
    "cast": (T.cast(x="int64", strict=False), "x", [NAN] * 4),
    "cyclical": (T.cyclical("x", period=7), "x_cos", [NAN] * 4),
    "impute": (T.impute("x", strategy="mean"), "x", [2, 2, INF, -INF]),
    "scale": (T.scale("x"), "x", AS_IT_IS),
    "clip": (T.clip("x", low=0, high=9), "x", [NAN, NAN, 9, 0]),
    "curve": (T.log1p("x"), "x", [NAN, NAN, INF, NAN]),
    "bins": (T.bins("x", edges=[0.0]), "x_bin", [NAN, NAN, 1, 0]),
    "ratio": (T.ratio("x", "two"), "x/two", AS_IT_IS),
    "interactions": (T.interactions("x", "two"), "x*two", AS_IT_IS),
    "geo_distance": (T.geo_distance(("x", "two"), ("two", "two")), "distance", [NAN] * 4),
    "lag": (T.lag("n", by="s", time="t", name="x"), "x", AS_IT_IS),
    "window": (
        Window("n", ("s",), "t", timedelta(0), ("x",), ("sum",), 3, None),
        "x",
        AS_IT_IS,
    ),
}
OF_TEXTS: dict[str, tuple[Any, str, list[float]]] = {
    "one_hot": (T.one_hot("s"), "s=", [0, 1, 0]),
    "target_encode": (T.target_encode("s", smoothing=1), "s_target", [0.6, 0.8, 0.6]),
    "lookup": (
        (T.lookup(TABLE, on="s", columns=["size"]), *T.select("size")),
        "size",
        [NAN, 2, NAN],
    ),
    "count_encode": (T.count_encode("s"), "s_count", [1, 1, 0]),
    "group_rare": (
        (*T.group_rare("s", min_count=2, other="r"), *T.ordinal("s")),
        "s_code",
        [NAN, 1, 1],
    ),
    "hash_encode": (
        T.hash_encode("s", width=999),
        "s_hash",
        [NAN, text_bucket(b"", 999), text_bucket(b"new", 999)],
    ),
    "ordinal": (T.ordinal("s"), "s_code", [NAN, 1, -1]),
    "ngrams": (T.ngrams("s", n=3, width=2), f"s_char3_{text_bucket(b'new', 2)}", [NAN, 0, 1]),
    "text_parts": (T.text_parts("s"), "s_length", [NAN, 0, 3]),
    "impute text": (
        (*T.impute("s", strategy="mode"), *T.ordinal("s", order="sorted")),
        "s_code",
        [1, 0, -1],
    ),
}
OF_TIMES: dict[str, tuple[Any, str, list[float]]] = {
    "date_parts": (T.date_parts("t", ["hour"], tz="America/New_York"), "t_hour", [NAN, 6, 6]),
    "date_parts of UTC": (T.date_parts("t", ["hour"]), "t_hour", [NAN, 10, 10]),
    "time_between": (
        (*T.derive(d=pl.col("t").dt.truncate("1d")), T.time_between("d", "t", unit="hours")),
        "d_to_t_hours",
        [NAN, 10, 10],
    ),
}


def _agree(made: Any, asked: list[dict[str, Any]], feature: str, want: list[float]) -> None:
    fitted = Recipe(made).fit(SEEN, "y")
    again = FittedRecipe.from_json(fitted.to_json())
    rows = [{name: row[name] for name in fitted.inputs} for row in asked]
    schema = {name: SEEN.schema[name] for name in fitted.inputs}
    plain = [
        {
            name: value.astimezone(timezone.utc).replace(tzinfo=None)  # noqa: UP017
            if isinstance(value, datetime) and value.tzinfo
            else value
            for name, value in row.items()
        }
        for row in rows
    ]
    frame = pl.DataFrame(plain, schema=schema)
    if "t" in schema:  # of a zone of its own, which means the same moments
        frame = frame.with_columns(
            pl.col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
        )
    place = fitted.feature_names.index(feature)
    for one in (fitted, again):
        batch = one.transform(frame).to_numpy()
        np.testing.assert_array_equal(batch[:, place], np.float32(want))
        assert np.array([one.row(row) for row in rows]).tobytes() == batch.tobytes()
        assert one.rows(rows).tobytes() == batch.tobytes()


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_null_nan_and_infinities(name: str) -> None:
    made, feature, want = OF_NUMBERS[name]
    _agree(made, [{"x": value, "two": 2.0} for value in NUMBERS], feature, want)


@pytest.mark.parametrize("name", OF_TEXTS)
def test_null_empty_and_unseen(name: str) -> None:
    made, feature, want = OF_TEXTS[name]
    _agree(made, [{"s": value} for value in TEXTS], feature, want)


@pytest.mark.parametrize("name", OF_TIMES)
def test_null_and_times_of_zones(name: str) -> None:
    made, feature, want = OF_TIMES[name]
    _agree(made, [{"t": value} for value in TIMES], feature, want)


def test_every_kind_has_its_meanings() -> None:
    kinds: set[str] = set()
    for made, *_ in (*OF_NUMBERS.values(), *OF_TEXTS.values(), *OF_TIMES.values()):
        steps: Any = [made] if isinstance(made, Transform) else made
        kinds |= {one.kind for one in steps}
    assert kinds == set(KINDS)
    assert set(OF_NUMBERS) <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_docstring_states_them(kind: str) -> None:
    told = (inspect.getdoc(KINDS[kind]) or "").lower()
    made = getattr(T, kind, None)
    told += (inspect.getdoc(made) or "").lower()
    assert "null" in told
    if kind in OF_NUMBERS:
        assert "nan" in told
        assert "infinit" in told
    if kind in OF_TEXTS and kind not in ("ngrams", "text_parts"):
        assert "empty string" in told
        assert any(word in told for word in ("not see", "unseen", "unknown", "does not hold"))
    if kind in ("date_parts", "time_between"):
        assert "utc" in told
