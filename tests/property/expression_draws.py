"""Drawn expressions for ``derive``: each function gives one of its type, to some depth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from tests.property.value_draws import Columns, Draw


def column(draw: Draw, columns: Columns, *kinds: str) -> pl.Expr | None:
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


def number(draw: Draw, columns: Columns, depth: int) -> pl.Expr:
    leaf = column(draw, columns, "float64", "int64")
    assert leaf is not None
    text, day = column(draw, columns, "string"), column(draw, columns, "date", "datetime")
    moment = column(draw, columns, "datetime")
    ways = ["leaf", "function", "literal", "two", "two", "when", "bool"] if depth else ["leaf"]
    ways += ["text"] * (text is not None) + ["day"] * (day is not None)
    ways += ["time"] * (moment is not None)
    way = draw(st.sampled_from(ways))
    if way == "function":
        return draw(st.sampled_from(_FUNCTIONS))(number(draw, columns, depth - 1))
    if way == "literal":
        done, one = draw(st.sampled_from(_ARITHMETIC)), number(draw, columns, depth - 1)
        lit = pl.lit(draw(st.sampled_from(_LITERALS)))
        return done(one, lit) if draw(st.booleans()) else done(lit, one)
    if way == "two":
        sides = (number(draw, columns, depth - 1), number(draw, columns, depth - 1))
        return draw(st.sampled_from(_ARITHMETIC))(*sides)
    if way == "when":
        then, other = number(draw, columns, depth - 1), number(draw, columns, depth - 1)
        last = draw(st.sampled_from([other, pl.lit(None), pl.lit(1), pl.lit(0.5)]))
        return pl.when(truth(draw, columns, depth - 1)).then(then).otherwise(last)
    if way == "bool":
        return truth(draw, columns, depth - 1).cast(pl.Int64)
    if way == "text":
        return draw(st.sampled_from(_OF_TEXT))(text)
    if way == "day":
        return draw(st.sampled_from(_OF_DAY))(day)
    return draw(st.sampled_from(_OF_TIME))(moment) if way == "time" else leaf


def truth(draw: Draw, columns: Columns, depth: int) -> pl.Expr:
    one = number(draw, columns, max(0, depth - 1))
    any_column = pl.col(draw(st.sampled_from(list(columns))))
    text, other = column(draw, columns, "string"), column(draw, columns, "string")
    flag, moment = column(draw, columns, "bool"), column(draw, columns, "datetime")
    ways = ["compare", "compare", "literal", "null"] + ["logic"] * (depth > 0)
    ways += ["text"] * (text is not None) + ["flag"] * (flag is not None)
    ways += ["time"] * (moment is not None)
    way = draw(st.sampled_from(ways))
    if way == "compare":
        two = number(draw, columns, max(0, depth - 1))
        return draw(st.sampled_from(_COMPARE))(one, two)
    if way == "literal":
        lit = pl.lit(draw(st.sampled_from(_LITERALS)))
        sides = (one, lit) if draw(st.booleans()) else (lit, one)
        return draw(st.sampled_from(_COMPARE))(*sides)
    if way == "logic":
        sides = (truth(draw, columns, depth - 1), truth(draw, columns, depth - 1))
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
