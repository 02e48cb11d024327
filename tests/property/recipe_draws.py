"""Drawn schemas, rows and recipes: what the laws of recipes are tried on.

``GENERATORS`` holds one function for each kind of transform. It gets ``draw`` and the columns that
there are, and gives transforms with the columns that they add, or None where none of the columns
fits. A kind without one fails a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from raypipe.features import transforms as T  # noqa: N812
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


# Expressions: each function gives one of its type over columns and, to some depth, other ones.


def _col(draw: Draw, columns: Columns, *kinds: str) -> pl.Expr | None:
    fits = [name for name, kind in columns.items() if kind in kinds]
    return pl.col(draw(st.sampled_from(fits))) if fits else None


_LITERALS = [0, 1, -1, 3, 7, 0.0, -0.0, 0.1, 0.5, -2.5, 1e300, 2**40]
_ARITHMETIC: list[Callable[[Any, Any], pl.Expr]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a // b,
    lambda a, b: a % b,
    lambda a, b: (a - 0.1) * 3 + b,
    lambda a, b: pl.max_horizontal(a, b),
    lambda a, b: pl.min_horizontal(a, b),
    lambda a, b: a.fill_null(b),
    lambda a, b: pl.coalesce(a, b),
]
_FUNCTIONS: list[Callable[[pl.Expr], pl.Expr]] = [
    lambda a: -a,
    lambda a: a.abs(),
    lambda a: a.sqrt(),
    lambda a: a.exp(),
    lambda a: a.log(),
    lambda a: a.log(10),
    lambda a: a.log1p(),
    lambda a: a.sin(),
    lambda a: a.cos(),
    lambda a: a.tan(),
    lambda a: a.tanh(),
    lambda a: a.floor(),
    lambda a: a.ceil(),
    lambda a: a.round(),
    lambda a: a.round(2),
    lambda a: a.sign(),
    lambda a: a.clip(-1, 2),
    lambda a: a.clip(None, 0),
    lambda a: a.cast(pl.Float64),
    lambda a: a.cast(pl.Float64) ** 2,
    lambda a: a.cast(pl.Float64).cbrt(),
    lambda a: a.cast(pl.Float32),
    lambda a: a.cast(pl.Int64, strict=False),
    lambda a: a + 0,
    lambda a: 0 - a,
    lambda a: 3 / a,
    lambda a: a / 7,
    lambda a: a // 0.3,
    lambda a: a % 7,
]
_OF_TEXT: list[Callable[[pl.Expr], pl.Expr]] = [
    lambda s: s.str.len_chars(),
    lambda s: s.str.len_bytes(),
    lambda s: s.str.len_chars() * 2 - 1,
    lambda s: s.str.to_lowercase().str.len_bytes(),
    lambda s: s.str.strip_chars(" ").str.len_chars(),
]
_OF_DAY: list[Callable[[pl.Expr], pl.Expr]] = [
    lambda t: t.dt.year(),
    lambda t: t.dt.quarter(),
    lambda t: t.dt.month() * 31 + t.dt.day(),
    lambda t: t.dt.week(),
    lambda t: t.dt.weekday(),
    lambda t: t.dt.ordinal_day(),
]
_OF_TIME: list[Callable[[pl.Expr], pl.Expr]] = [
    lambda t: t.dt.hour() * 60 + t.dt.minute(),
    lambda t: t.dt.second(),
    lambda t: t.dt.date().dt.day(),
    lambda t: t.dt.truncate("1h").dt.hour(),
    lambda t: (t - datetime(2000, 1, 1)).dt.total_seconds() / 3600,
    lambda t: (t - datetime(2000, 1, 1)).dt.total_days(),
    lambda t: (t - datetime(2000, 1, 1)) / timedelta(hours=1),
]
_COMPARE: list[Callable[[Any, Any], pl.Expr]] = [
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: a.eq_missing(b),
    lambda a, b: a.ne_missing(b),
    lambda a, b: a.is_between(b, 2),
    lambda a, b: a.is_between(-1, b, closed="none"),
]
_LOGIC: list[Callable[[pl.Expr, pl.Expr], pl.Expr]] = [
    lambda a, b: a & b,
    lambda a, b: a | b,
    lambda a, b: a ^ b,
    lambda a, b: ~a,
    lambda a, b: pl.all_horizontal(a, b),
    lambda a, b: pl.any_horizontal(a, b),
    lambda a, b: a == b,
    lambda a, b: a.fill_null(b),
]
_OF_TWO_TEXTS: list[Callable[[Any, Any], pl.Expr]] = [
    lambda a, b: a > b,
    lambda a, b: a == b,
    lambda a, b: a.eq_missing(b),
    lambda a, b: a.str.starts_with(b),
    lambda a, b: a.str.ends_with(b),
    lambda a, b: a.str.contains("a", literal=True),
    lambda a, b: a.is_in(["a", "", "é"]),
    lambda a, b: pl.concat_str([a, b], separator="-") > "b",
]


def _number(draw: Draw, columns: Columns, depth: int) -> pl.Expr:
    leaf = _col(draw, columns, "float64", "int64")
    assert leaf is not None
    text, day = _col(draw, columns, "string"), _col(draw, columns, "date", "datetime")
    moment = _col(draw, columns, "datetime")
    ways = ["leaf", "function", "literal", "two", "two", "when", "bool"] if depth else ["leaf"]
    ways += ["text"] * (text is not None) + ["day"] * (day is not None)
    ways += ["time"] * (moment is not None)
    way = draw(st.sampled_from(ways))
    if way == "function":
        return draw(st.sampled_from(_FUNCTIONS))(_number(draw, columns, depth - 1))
    if way == "literal":
        done, one = draw(st.sampled_from(_ARITHMETIC)), _number(draw, columns, depth - 1)
        lit = pl.lit(draw(st.sampled_from(_LITERALS)))
        return done(one, lit) if draw(st.booleans()) else done(lit, one)
    if way == "two":
        sides = (_number(draw, columns, depth - 1), _number(draw, columns, depth - 1))
        return draw(st.sampled_from(_ARITHMETIC))(*sides)
    if way == "when":
        then, other = _number(draw, columns, depth - 1), _number(draw, columns, depth - 1)
        last = draw(st.sampled_from([other, pl.lit(None), pl.lit(1), pl.lit(0.5)]))
        return pl.when(_truth(draw, columns, depth - 1)).then(then).otherwise(last)
    if way == "bool":
        return _truth(draw, columns, depth - 1).cast(pl.Int64)
    if way == "text":
        return draw(st.sampled_from(_OF_TEXT))(text)
    if way == "day":
        return draw(st.sampled_from(_OF_DAY))(day)
    return draw(st.sampled_from(_OF_TIME))(moment) if way == "time" else leaf


def _truth(draw: Draw, columns: Columns, depth: int) -> pl.Expr:
    one = _number(draw, columns, max(0, depth - 1))
    any_column = pl.col(draw(st.sampled_from(list(columns))))
    text, other = _col(draw, columns, "string"), _col(draw, columns, "string")
    flag, moment = _col(draw, columns, "bool"), _col(draw, columns, "datetime")
    ways = ["compare", "compare", "literal", "null"] + ["logic"] * (depth > 0)
    ways += ["text"] * (text is not None) + ["flag"] * (flag is not None)
    ways += ["time"] * (moment is not None)
    way = draw(st.sampled_from(ways))
    if way == "compare":
        two = _number(draw, columns, max(0, depth - 1))
        return draw(st.sampled_from(_COMPARE))(one, two)
    if way == "literal":
        lit = pl.lit(draw(st.sampled_from(_LITERALS)))
        sides = (one, lit) if draw(st.booleans()) else (lit, one)
        return draw(st.sampled_from(_COMPARE))(*sides)
    if way == "logic":
        sides = (_truth(draw, columns, depth - 1), _truth(draw, columns, depth - 1))
        return draw(st.sampled_from(_LOGIC))(*sides)
    if way == "text":
        return draw(st.sampled_from(_OF_TWO_TEXTS))(
            text, draw(st.sampled_from([other, pl.lit("b")]))
        )
    if way == "flag":
        assert flag is not None
        return flag
    if way == "time":
        assert moment is not None
        return moment > datetime(1999, 12, 31, 23)
    return any_column.is_null() if draw(st.booleans()) else any_column.is_not_null()


# Transforms: each gives (what stands in the recipe, columns that later ones may read), or None.

Made = tuple[Any, Columns] | None
Generator = Callable[[Draw, Columns, str], Made]


def _pick(draw: Draw, columns: Columns, *kinds: str) -> str | None:
    fits = [name for name, kind in columns.items() if kind in kinds]
    return draw(st.sampled_from(fits)) if fits else None


def _derive(draw: Draw, columns: Columns, fresh: str) -> Made:
    if draw(st.booleans()):
        return T.derive(**{fresh: _truth(draw, columns, 2)}), {fresh: "bool"}
    # As float, so that transforms which follow know what they read.
    expr = _number(draw, columns, 3).cast(pl.Float64)
    return T.derive(**{fresh: expr}), {fresh: "float64"}


def _narrow(draw: Draw, columns: Columns, fresh: str) -> Made:
    # Of whatever type polars gives it, and read by nothing that follows.
    return T.derive(**{fresh: _number(draw, columns, 3)}), {}


def _select(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    return None if name is None else (T.select(name), {})


def _impute(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    strategy = draw(st.sampled_from(["mean", "median", "constant"]))
    value = draw(st.sampled_from([-1.25, 0.0, -0.0, 1e300])) if strategy == "constant" else None
    made = T.impute(name, strategy=strategy, value=value, indicator=draw(st.booleans()))
    return made, {name: "float64"}


def _one_hot(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    return None if name is None else (T.one_hot(name, min_count=draw(st.integers(1, 2))), {})


def _target(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    if name is None:
        return None
    made = T.target_encode(name, smoothing=draw(st.sampled_from([0.5, 3.5, 20])))
    return made, {f"{name}_target": "float64"}


def _parts(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "datetime", "date")
    if name is None:
        return None
    known = ["year", "month", "day", "weekday", "yearday"]
    known += ["hour", "minute"] if columns[name] == "datetime" else []
    parts = draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    return T.date_parts(name, parts), {f"{name}_{part}": "int64" for part in parts}


def _lookup(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool", "date")
    if name is None:
        return None
    keys = draw(st.lists(VALUES[columns[name]], min_size=1, max_size=4, unique=True))
    kinds = {"size": "float64", "n": "int64", "kind": "string", "when": "date", "ok": "bool"}
    data: dict[str, pl.Series] = {name: pl.Series(name, keys, RAW_TYPES[columns[name]])}
    for title, kind in kinds.items():
        value = VALUES[kind].filter(lambda v: not (isinstance(v, float) and math.isinf(v)))
        column = draw(st.lists(st.none() | value, min_size=len(keys), max_size=len(keys)))
        data[fresh + title] = pl.Series(column, dtype=RAW_TYPES[kind])
    found = {fresh + title: kind for title, kind in kinds.items()}
    return T.lookup(pl.DataFrame(data), on=name, columns=list(found)), found


GENERATORS: dict[str, Generator] = {
    "derive": _derive,
    "select": _select,
    "impute": _impute,
    "one_hot": _one_hot,
    "target_encode": _target,
    "date_parts": _parts,
    "lookup": _lookup,
}


@st.composite
def recipes(draw: Draw, columns: Columns) -> list[Any]:
    """One to seven transforms; what one gives, a later one may read."""
    there, made = dict(columns), []
    ways = [*GENERATORS.values(), _narrow]
    for number in range(draw(st.integers(1, 7))):
        found = draw(st.sampled_from(ways))(draw, dict(there), f"new{number}")
        if found is None:
            continue
        given, added = found
        made.append(given)
        there.update(added)
    return made
