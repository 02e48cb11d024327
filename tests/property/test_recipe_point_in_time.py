"""The point-in-time join equals a search through all rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features import point_in_time

START = datetime(2013, 1, 1)
TIMES = st.none() | st.integers(0, 6).map(lambda n: START + timedelta(hours=n))
KEYS = st.none() | st.sampled_from(["JFK", "LGA", ""])
LEFT = {"k": pl.String, "n": pl.Int64, "t": pl.Datetime("us")}
RIGHT = {"k": pl.String, "n": pl.Int64, "since": pl.Datetime("us"), "v": pl.Int64}


def _search(
    entities: list[tuple[Any, ...]],
    features: list[tuple[Any, ...]],
    keys: int,
    tolerance: timedelta | None,
) -> list[Any]:
    found = []
    for entity in entities:
        best: tuple[Any, ...] | None = None
        for row in features:
            if None in entity[:keys] or entity[:keys] != row[:keys]:
                continue
            if entity[2] is None or row[2] is None or row[2] > entity[2]:
                continue
            if tolerance is not None and entity[2] - row[2] > tolerance:
                continue
            if best is None or row[2] >= best[2]:
                best = row
        found.append(None if best is None else best[3])
    return found


@settings(max_examples=150, deadline=None)
@given(
    entities=st.lists(st.tuples(KEYS, st.none() | st.integers(0, 1), TIMES), max_size=12),
    features=st.lists(
        st.tuples(
            KEYS,
            st.none() | st.integers(0, 1),
            TIMES,
            st.none() | st.integers().filter(lambda n: abs(n) < 2**62),
        ),
        max_size=14,
    ),
    keys=st.sampled_from([1, 2]),
    tolerance=st.none() | st.integers(0, 4).map(lambda n: timedelta(hours=n)),
)
def test_equals_brute_force(
    entities: list[tuple[Any, ...]],
    features: list[tuple[Any, ...]],
    keys: int,
    tolerance: timedelta | None,
) -> None:
    left = pl.DataFrame(entities, schema=LEFT, orient="row")
    right = pl.DataFrame(features, schema=RIGHT, orient="row")
    joined = point_in_time(
        left,
        right if keys == 2 else right.drop("n"),
        on=["k", "n"][:keys],
        time="t",
        feature_time="since",
        tolerance=tolerance,
    )
    assert isinstance(joined, pl.DataFrame)
    assert joined.columns == ["k", "n", "t", "v"]
    assert joined.drop("v").equals(left)
    assert joined["v"].to_list() == _search(entities, features, keys, tolerance)
