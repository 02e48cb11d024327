"""Drawn schemas and rows of wild values: what the laws of recipes are tried on."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from hypothesis import strategies as st

from raypipe.features.columns import RAW_TYPES

Columns = dict[str, str]  # name and raw type
Draw = Callable[..., Any]

NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.5, 2.5, -1.0, math.nan, math.inf, -math.inf, 0.1, 2.0**53]),
    st.sampled_from([1e300, 5e-324, -5e-324, 2.2250738585072014e-308, 3.4e38, 3.5e38, 1e-45]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-10, 10),
)
WHOLE = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 2**31, 2**24 + 1]),
    st.integers(-(2**63), 2**63 - 1),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "b", "JFK", "é", "e\u0301", "ß", "İ", "\x00", " ", "\u202eab", "😀", "ﬀ"]
    ),
    st.text(max_size=4),
)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)
TIMES = st.one_of(
    st.sampled_from([datetime(1, 1, 1), LAST, datetime(1970, 1, 1), datetime(2012, 2, 29, 12)]),
    st.sampled_from([datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(1582, 10, 4)]),
    st.datetimes(),
)
DAYS = st.one_of(
    st.sampled_from([date.min, date.max, date(1970, 1, 1), date(2000, 2, 29), date(1900, 3, 1)]),
    st.dates(),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "float64": NUMBERS,
    "int64": WHOLE,
    "string": TEXTS,
    "bool": st.booleans(),
    "datetime": TIMES,
    "date": DAYS,
}
NAMES = st.one_of(
    st.sampled_from(["x", "é", "a b", "#1", "class", '"; import os', "{}", "k1", "__name__", "\n"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3),
)


def plain_name(name: str) -> bool:
    """Whether polars does not read a name as a pattern, and the tests do not use it."""
    return name not in ("*", "y") and not (name.startswith("^") and name.endswith("$"))


@st.composite
def schemas(draw: Draw) -> Columns:
    """Two to seven columns of the six raw types; at least one is a number."""
    names = draw(st.lists(NAMES.filter(plain_name), min_size=2, max_size=7, unique=True))
    types = draw(
        st.lists(st.sampled_from(list(RAW_TYPES)), min_size=len(names), max_size=len(names))
    )
    return {
        **dict(zip(names, types, strict=True)),
        names[0]: draw(st.sampled_from(["float64", "int64"])),
    }


def rows_of(columns: Columns, least: int, most: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of wild values; one in four or so is null."""
    fields = {name: st.one_of(VALUES[kind], VALUES[kind], VALUES[kind], st.none())
              for name, kind in columns.items()}  # fmt: skip
    return st.lists(st.fixed_dictionaries(fields), min_size=least, max_size=most)
