"""Laws of the lake: what is written is read, and pruning never loses a row."""

from __future__ import annotations

import tempfile
from datetime import datetime

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.lake import Lake
from raypipe.lake.log.stats import round_up

VALUES = {
    "i": st.integers(-(2**63), 2**63 - 1),
    "f": st.floats(allow_nan=True, allow_infinity=True),
    "s": st.text(max_size=40),
    "t": st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    "b": st.booleans(),
}
TYPES = {"i": pl.Int64, "f": pl.Float64, "s": pl.String, "t": pl.Datetime("us"), "b": pl.Boolean}


def frames() -> st.SearchStrategy[pl.DataFrame]:
    row = st.tuples(*(st.none() | values for values in VALUES.values()))
    rows = st.lists(row, min_size=1, max_size=5)
    return rows.map(lambda r: pl.DataFrame(r, schema=TYPES, orient="row"))


@st.composite
def filters(draw: st.DrawFn) -> pl.Expr:
    name = draw(st.sampled_from(list(VALUES)))
    finite = st.floats(allow_nan=False, allow_infinity=False)
    value = draw(finite if name == "f" else VALUES[name])
    column, item = pl.col(name), pl.lit(value, dtype=TYPES[name])
    choices = [
        column == item, column > item, column >= item, column < item, column <= item,
        column != item, column.is_null(), column.is_not_null(), column.is_in([value]),
    ]  # fmt: skip
    one = draw(st.sampled_from(choices))
    kind = draw(st.sampled_from(["plain", "not", "and", "or"]))
    if kind == "plain":
        return one
    if kind == "not":
        return ~one
    other = draw(filters())
    return one & other if kind == "and" else one | other


@settings(max_examples=40, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=3), st.lists(filters(), min_size=5, max_size=15))
def test_pruning_loses_no_row(batches: list[pl.DataFrame], wheres: list[pl.Expr]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Lake(folder).table("t")
        for batch in batches:
            table.append(batch)
        whole = pl.concat(batches)
        now = table.at()
        assert now.frame().equals(whole)
        for where in wheres:
            some = now.where(where)
            expected = whole.filter(where)
            assert some.frame().equals(expected)
            pieces = [part.read() for part in some.parts()]
            assert pl.concat([whole.clear(), *pieces]).equals(expected)


@given(st.text(max_size=12), st.integers(1, 6))
def test_rounding_up_is_never_below(text: str, chars: int) -> None:
    top = round_up(text, chars)
    assert top is None or (len(top) <= max(chars, len(text[:chars])) and top >= text)
