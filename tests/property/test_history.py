"""What lag and window read equals a search through all events, to the bit for a table and a row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raypipe.features import Recipe, transforms
from raypipe.features.asof.join import FramePart
from raypipe.features.history import buckets, fill

START = datetime(2024, 1, 1)
TIMES = st.none() | st.integers(0, 8).map(lambda n: START + timedelta(hours=n))
KEYS = st.none() | st.sampled_from(["a", "b"])
VALUES = (
    st.none()
    | st.floats(width=64)
    | st.sampled_from([0.1, 0.2, 0.3, -0.0, 1e300, -1e300, 5e-324, 1e-200])
)
SCHEMA = {"k": pl.String, "t": pl.Datetime("us"), "v": pl.Float64}
STATS = ("count", "sum", "mean", "std", "min", "max")
LAST, WITHIN, DELAY = 3, timedelta(hours=3), timedelta(hours=1)
RECIPE = Recipe(
    transforms.lag("v", by="k", time="t"),
    transforms.lag("v", 2, by="k", time="t", delay=DELAY),
    transforms.window("v", STATS, by="k", time="t", last=LAST),
    transforms.window("v", STATS, by="k", time="t", within=WITHIN, delay=DELAY, name="w"),
)
NAMES = ["v_lag1", "v_lag2", *(f"v_{s}_last3" for s in STATS), *(f"w_{s}_3h" for s in STATS)]


def _figures(values: list[float | None]) -> list[float | None]:
    fine = [x for x in values if x is not None and math.isfinite(x)]
    if not fine:
        return [0.0, 0.0, None, None, None, None]
    count, total = len(fine), sum(map(Fraction, fine))
    spread = sum(Fraction(x) ** 2 for x in fine) / count - (total / count) ** 2
    return [float(count), _float(total), _float(total) / count, _root(spread), min(fine), max(fine)]


def _float(x: Fraction) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def _root(x: Fraction) -> float:
    return math.isqrt(int(x * 2**4400)) / 2**2200 if x < 2**2000 else math.inf


def _search(row: tuple[Any, ...], events: list[tuple[Any, ...]]) -> list[float | None]:
    key, at, _ = row
    if key is None or at is None:
        return [None] * len(NAMES)
    mine = [(t, n, v) for n, (k, t, v) in enumerate(events) if k == key and t is not None]
    before = [v for t, _, v in sorted(x for x in mine if x[0] < at)]
    late = [v for t, _, v in sorted(x for x in mine if x[0] < at - DELAY)]
    near = [v for t, _, v in sorted(x for x in mine if at - WITHIN <= x[0] < at - DELAY)]
    one = before[-1] if before else None
    two = late[-2] if len(late) > 1 else None
    return [one, two, *_figures(before[-LAST:]), *_figures(near)]


def _alike(name: str, have: float | None, want: float | None, size: float) -> bool:
    if want is None or math.isnan(want):
        return have is None
    if have is None:
        return False
    if "std" in name and want:  # values that are nearly equal leave few of the squares' 106 bits
        near = size * 2.0**-100 * (size / want)
        return have == want or abs(have - want) <= max(1e-13 * abs(want), near, 5e-324)
    return have == want or math.nextafter(have, want) == want


def _sizes(wanted: list[float | None]) -> list[float]:
    """The largest value of the window that each figure is of."""
    ends = [[abs(x) for x in wanted[at : at + 2] if x is not None] for at in (6, 12)]
    return [0.0, 0.0, *(max(one, default=0.0) for one in ends for _ in STATS)]


def _bits(values: Any) -> bytes:
    return np.array([math.nan if x is None else x for x in values]).tobytes()


@settings(max_examples=200, deadline=None)
@example(
    rows=[("b", START + timedelta(hours=1), None)]
    + [("b", START, x) for x in (8.988465650698341e307, 8.98846564977581e307)],
    events=None,
)
@given(
    rows=st.lists(st.tuples(KEYS, TIMES, VALUES), max_size=10),
    events=st.none() | st.lists(st.tuples(KEYS, TIMES, VALUES), max_size=16),
)
def test_equals_a_search_through_all_events(
    rows: list[tuple[Any, ...]], events: list[tuple[Any, ...]] | None
) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    past = None if events is None else pl.DataFrame(events, schema=SCHEMA, orient="row")
    filled = RECIPE.with_history(frame, past)
    assert filled.columns == ["k", "t", "v", *NAMES]
    assert filled.select("k", "t", "v").equals(frame)
    for row, have in zip(rows, filled.select(NAMES).rows(), strict=True):
        wanted = _search(row, rows if events is None else events)
        for name, one, want, size in zip(NAMES, have, wanted, _sizes(wanted), strict=True):
            assert _alike(name, one, want, size), (name, one, want)


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(st.tuples(KEYS, TIMES, VALUES), min_size=2, max_size=16),
    data=st.data(),
)
def test_a_row_alone_has_the_bits_of_the_table(
    events: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    """From its key's events alone, in another order, through ``FittedRecipe.with_history``."""
    frame = pl.DataFrame(events, schema=SCHEMA, orient="row")
    filled = RECIPE.with_history(frame)
    fitted = RECIPE.fit(filled)
    features = fitted.transform(filled).to_numpy()
    key = data.draw(st.sampled_from(["a", "b"]))
    mine = frame.filter(pl.col("k") == key)
    if len(set(mine["t"].to_list())) == mine.height:  # else the order of the table has a meaning
        mine = mine[data.draw(st.permutations(range(mine.height)))] if mine.height else mine
    for number, row in enumerate(frame.to_dicts()):
        if row["k"] != key:
            continue
        (ready,) = fitted.with_history([row], mine)
        assert list(ready) == list(fitted.inputs)
        assert _bits(ready.values()) == _bits(filled.select(list(fitted.inputs)).row(number))
        assert fitted.row(ready).tobytes() == features[number].astype(np.float32).tobytes()


@dataclass(frozen=True)
class Pieces:
    """A scan over frames."""

    frames: tuple[pl.DataFrame, ...]

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return dict(self.frames[0].schema)

    def parts(self) -> Sequence[FramePart]:
        return [FramePart(one) for one in self.frames]

    def lazy(self) -> pl.LazyFrame:
        return pl.concat(self.frames).lazy()

    def identity(self) -> dict[str, Any]:
        return {"frames": len(self.frames)}


def _cut(frame: pl.DataFrame, cuts: list[int]) -> Pieces:
    ends = [*sorted(min(cut, frame.height) for cut in cuts), frame.height]
    starts = [0, *ends[:-1]]
    return Pieces(tuple(frame[a:b] for a, b in zip(starts, ends, strict=True)))


CUTS = st.lists(st.integers(0, 16), max_size=4)
TWO_KEYS = Recipe(
    *RECIPE.transforms,
    transforms.window("v", STATS, by=["k", "x"], time="t", last=2, name="both"),
    transforms.lag("x", by="x", time="t", name="x before"),
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(KEYS, TIMES, VALUES), max_size=12),
    events=st.none() | st.lists(st.tuples(KEYS, TIMES, VALUES), max_size=16),
    extra=st.lists(st.sampled_from([0.0, -0.0, 1.5, math.nan, None]), min_size=16, max_size=16),
    cuts=st.tuples(CUTS, CUTS),
    size=st.sampled_from([1, 3, 100]),
)
def test_through_files_it_has_the_bits_of_memory(
    rows: Any, events: Any, extra: list[float | None], cuts: tuple[list[int], list[int]], size: int
) -> None:
    """However the parts are cut and however many buckets there are; and it is a scan as any."""

    def frame(given: Any) -> pl.DataFrame:
        made = pl.DataFrame(given, schema=SCHEMA, orient="row")
        return made.with_columns(pl.Series("x", extra[: made.height], dtype=pl.Float64))

    mine, past = frame(rows), None if events is None else frame(events)
    whole = TWO_KEYS.with_history(mine, past)
    theirs = None if past is None else _cut(past, cuts[1])
    small = TWO_KEYS.with_history(_cut(mine, cuts[0]), theirs)
    few = TWO_KEYS.with_history(mine, theirs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill, "SMALL", -1)
        patch.setattr(buckets, "ROWS", size)
        filled = TWO_KEYS.with_history(_cut(mine, cuts[0]), theirs)
    for one in (small.frame(), few, filled.frame(), filled.lazy().collect()):
        assert_same_bits(one, whole)
    assert_same_bits(filled.frame(["v_lag1", "t"]), whole.select("v_lag1", "t"))
    assert_same_bits(filled.lazy().select("v_lag1").head(3).collect(), whole.select("v_lag1")[:3])
    kept = whole.filter(pl.col("v_lag1") > 0)
    assert_same_bits(filled.lazy().filter(pl.col("v_lag1") > 0).collect(), kept)
    assert [part.rows for part in filled.parts()] == [
        one.height for one in _cut(mine, cuts[0]).frames
    ]


def assert_same_bits(have: pl.DataFrame, want: pl.DataFrame) -> None:
    assert have.schema == want.schema
    for one, other in zip(have, want, strict=True):
        assert one.is_null().to_list() == other.is_null().to_list(), one.name
        if one.dtype == pl.Float64:
            bits = [series.fill_null(0.0).to_numpy().tobytes() for series in (one, other)]
            assert bits[0] == bits[1], one.name
        else:
            assert one.to_list() == other.to_list(), one.name
