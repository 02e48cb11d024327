"""The point-in-time join equals a search through all rows, however the tables are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features import FeatureTable, point_in_time
from raypipe.features.asof import asked, join

START = datetime(2013, 1, 1)
TIMES = st.none() | st.integers(0, 6).map(lambda n: START + timedelta(hours=n))
KEYS = st.none() | st.sampled_from(["JFK", "LGA", ""])
NUMBERS = st.none() | st.integers(-1, 1)
LEFT = {"k": pl.String, "n": pl.Int64, "t": pl.Datetime("us")}
RIGHT = {
    "k": pl.String,
    "n": pl.Int64,
    "since": pl.Datetime("us"),
    "known": pl.Datetime("us"),
    "until": pl.Datetime("us"),
    "v": pl.Int64,
}
ENTITIES = st.lists(st.tuples(KEYS, NUMBERS, TIMES), max_size=12)
FEATURES = st.lists(
    st.tuples(KEYS, NUMBERS, TIMES, TIMES, TIMES, st.none() | st.integers(-(2**62), 2**62)),
    max_size=14,
)


@dataclass
class Part:
    frame: pl.DataFrame
    rows: int

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        return self.frame if columns is None else self.frame.select(columns)


@dataclass
class Pieces:
    """A scan whose parts say that they have more rows than a filter leaves."""

    frame: pl.DataFrame
    height: int

    @property
    def schema(self) -> dict[str, pl.DataType]:
        return dict(self.frame.schema)

    def parts(self) -> list[Part]:
        return [Part(one, one.height + 3) for one in self.frame.iter_slices(self.height)]

    def lazy(self) -> pl.LazyFrame:
        return self.frame.lazy()

    def identity(self) -> dict[str, Any]:
        return {}


def _search(
    entities: list[tuple[Any, ...]],
    features: list[tuple[Any, ...]],
    on: Sequence[int],
    tolerance: timedelta | None,
    *,
    known: bool,
    until: bool,
) -> list[Any]:
    found = []
    for entity in entities:
        best: tuple[Any, ...] | None = None
        for number, (*key, since, learned, ended, value) in enumerate(features):
            mine = [entity[at] for at in on]
            if None in mine or mine != [key[at] for at in on] or None in (entity[2], since):
                continue
            if since > entity[2] or (tolerance is not None and entity[2] - since > tolerance):
                continue
            if known and (learned is None or learned > entity[2]):
                continue
            if until and ended is not None and ended <= entity[2]:
                continue
            rank = (since, learned if known else since, number, value)
            if best is None or rank[:3] > best[:3]:
                best = rank
        found.append(None if best is None else best[3])
    return found


@settings(max_examples=200, deadline=None)
@given(
    entities=ENTITIES,
    tables=st.lists(st.tuples(FEATURES, st.booleans(), st.booleans()), min_size=1, max_size=3),
    on=st.sampled_from([(0,), (1,), (0, 1)]),
    tolerance=st.none() | st.integers(0, 4).map(lambda n: timedelta(hours=n)),
    height=st.integers(1, 5),
    few=st.sampled_from([0, 2, 64]),
    form=st.sampled_from(["frame", "lazy", "scan"]),
)
def test_equals_brute_force(
    entities: list[tuple[Any, ...]],
    tables: list[tuple[list[tuple[Any, ...]], bool, bool]],
    on: tuple[int, ...],
    tolerance: timedelta | None,
    height: int,
    few: int,
    form: str,
) -> None:
    """Of several tables, with and without times of knowledge, cut anywhere, in slices or not."""
    left = pl.DataFrame(entities, schema=LEFT, orient="row")
    keys = [list(LEFT)[at] for at in on]

    def given_as(frame: pl.DataFrame) -> Any:
        return {"frame": frame, "lazy": frame.lazy(), "scan": Pieces(frame, height)}[form]

    sides = [
        FeatureTable(
            given_as(pl.DataFrame(rows, schema=RIGHT, orient="row")),
            time="since",
            columns=["v"],
            prefix=f"{number}_",
            known="known" if known else None,
            until="until" if until else None,
        )
        for number, (rows, known, until) in enumerate(tables)
    ]
    with (
        patch.object(join, "_ROWS_AT_ONCE", height),
        patch.object(asked, "_FEW", few),
        patch("raypipe.features.point_in_time.MOST_ASKED", 2 * height),
    ):
        joined = point_in_time(given_as(left), sides, on=keys, time="t", tolerance=tolerance)
        joined = joined.lazy().collect()
    assert joined.columns == ["k", "n", "t", *(f"{n}_v" for n in range(len(tables)))]
    assert joined.select("k", "n", "t").equals(left)
    for number, (rows, known, until) in enumerate(tables):
        right = _search(entities, rows, on, tolerance, known=known, until=until)
        assert joined[f"{number}_v"].to_list() == right


@settings(max_examples=60, deadline=None)
@given(
    entities=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10**6)), max_size=30),
    features=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10**6)), max_size=60),
    unit=st.sampled_from(["ms", "us", "ns"]),
)
def test_every_unit_and_many_rows_of_a_key(
    entities: list[tuple[int, int]], features: list[tuple[int, int]], unit: Any
) -> None:
    left = pl.DataFrame(entities, {"k": pl.Int8, "t": pl.Int64}, orient="row")
    right = pl.DataFrame(features, {"k": pl.Int8, "t": pl.Int64}, orient="row")
    right = right.with_columns(v=pl.int_range(pl.len()))
    time = pl.col("t").cast(pl.Datetime(unit))
    with patch.object(join, "_ROWS_AT_ONCE", 7), patch.object(asked, "_FEW", 3):
        joined = point_in_time(left.with_columns(time), right.with_columns(time), on="k", time="t")
    for (key, at), value in zip(entities, joined["v"].to_list(), strict=True):
        ranks = [(t, n) for n, (k, t) in enumerate(features) if k == key and t <= at]
        assert value == (max(ranks)[1] if ranks else None)
