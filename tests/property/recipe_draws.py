"""Drawn schemas, rows and recipes: what the laws of recipes are tried on.

``GENERATORS`` holds one function for each kind of transform. It gets ``draw`` and the columns that
there are, and gives transforms with the columns that they add, or None where none of the columns
fits. A kind without one fails a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from raypipe.features import transforms as T  # noqa: N812
from raypipe.features.columns import RAW_TYPES
from raypipe.features.transforms.clock import PARTS
from raypipe.features.transforms.conversions import conversions
from raypipe.features.transforms.time_between import UNITS

ZONES = [None, "UTC", "America/New_York", "Europe/Dublin", "Australia/Lord_Howe"]
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
    if _pick(draw, columns, "float64", "int64") is None:  # each is cast to something else
        return None
    if draw(st.booleans()):
        return T.derive(**{fresh: _truth(draw, columns, 2)}), {fresh: "bool"}
    # As float, so that transforms which follow know what they read.
    expr = _number(draw, columns, 3).cast(pl.Float64)
    return T.derive(**{fresh: expr}), {fresh: "float64"}


def _narrow(draw: Draw, columns: Columns, fresh: str) -> Made:
    if _pick(draw, columns, "float64", "int64") is None:  # each is cast to something else
        return None
    # Of whatever type polars gives it, and read by nothing that follows.
    return T.derive(**{fresh: _number(draw, columns, 3)}), {}


def _select(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    return None if name is None else (T.select(name), {})


def _drop(draw: Draw, columns: Columns, fresh: str) -> Made:
    # Of what a transform has given: a raw column is no feature anyway.
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    means = (*T.scale(name, how="max_abs"), *T.bins(name, edges=[0.0, 1.5]))
    return (*means, *T.drop(f"{name}_bin")), {name: "float64"}


_CASTS = {
    "float64": ["float64", "int64"],
    "int64": ["int64", "float64", "string", "bool"],
    "bool": ["int64", "float64", "string", "bool"],
    "string": ["int64", "float64", "bool", "date", "datetime", "string"],
    "date": ["int64", "string", "datetime"],
    "datetime": ["int64", "date"],
}


def _cast(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = draw(st.sampled_from(list(columns)))
    to = draw(st.sampled_from(_CASTS[columns[name]]))
    safe = conversions(RAW_TYPES[columns[name]])[to].safe
    made: list[Any] = [*T.cast({name: to}, strict=safe and draw(st.booleans()))]
    if to == "string":  # which is no feature, so that something has to read it
        made += T.hash_encode(name, width=2**31)
    elif to in ("date", "datetime"):
        made.append(T.date_parts(name, ["year", "yearday"]))
    return tuple(made), {name: to}


def _between(draw: Draw, columns: Columns, fresh: str) -> Made:
    start = _pick(draw, columns, "date", "datetime")
    if start is None:
        return None
    end, unit = _pick(draw, columns, "date", "datetime"), draw(st.sampled_from(list(UNITS)))
    return T.time_between(start, end or start, unit=unit, name=fresh), {fresh: "float64"}


def _cyclical(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    period = draw(st.sampled_from([7, 360.0, 0.1, 1e-100, 1e100]))
    return T.cyclical(name, period=period), {f"{name}_sin": "float64", f"{name}_cos": "float64"}


def _scale(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    how = draw(st.sampled_from(["standard", "min_max", "robust", "max_abs"]))
    return None if name is None else (T.scale(name, how=how), {name: "float64"})


def _clip(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    if draw(st.booleans()):
        return T.clip(name, quantiles=(0.25, 0.75)), {name: "float64"}
    low, high = draw(st.sampled_from([(-1, 2.5), (0.0, None), (None, -0.0), (0, 0), (-1e300, 1)]))
    return T.clip(name, low=low, high=high), {name: "float64"}


def _curve(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    way = draw(st.sampled_from(["log1p", "signed_log", "power"]))
    if way != "power":
        return (T.log1p if way == "log1p" else T.signed_log)(name), {name: "float64"}
    exponent = draw(st.sampled_from([2, 3, -1, -2, 8, 0.5, -0.5, 0.3, -1.7]))
    return T.power(name, exponent=exponent), {name: "float64"}


def _bins(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    how = draw(st.sampled_from(["quantile", "uniform", "given"]))
    edges = [-1.0, 0.0, 0.1, 2.0**53] if how == "given" else None
    made = T.bins(name, edges=edges) if edges else T.bins(name, count=3, how=how)
    return made, {f"{name}_bin": "int64"}


def _ratio(draw: Draw, columns: Columns, fresh: str) -> Made:
    over = _pick(draw, columns, "float64", "int64", "bool")
    under = _pick(draw, columns, "float64", "int64", "bool")
    if over is None or under is None:
        return None
    zero = draw(st.sampled_from([None, 0.0, -1.5]))
    return T.ratio(over, under, zero=zero, name=fresh), {fresh: "float64"}


def _interactions(draw: Draw, columns: Columns, fresh: str) -> Made:
    fits = [name for name, kind in columns.items() if kind in ("float64", "int64", "bool")]
    if not fits:
        return None
    some = draw(st.lists(st.sampled_from(fits), min_size=1, max_size=3, unique=True))
    made = T.interactions(*some, squares=len(some) == 1 or draw(st.booleans()))
    return made, dict.fromkeys(made.outputs(dict.fromkeys(some, pl.Float64())), "float64")


def _distance(draw: Draw, columns: Columns, fresh: str) -> Made:
    fits = [name for name, kind in columns.items() if kind in ("float64", "int64", "bool")]
    if not fits:
        return None
    a, b, c, d = (draw(st.sampled_from(fits)) for _ in range(4))
    unit = draw(st.sampled_from(["km", "m", "mi", "nmi"]))
    return T.geo_distance((a, b), (c, d), unit=unit, name=fresh), {fresh: "float64"}


def _count(draw: Draw, columns: Columns, fresh: str) -> Made:
    name, share = _pick(draw, columns, "string", "int64", "bool"), draw(st.booleans())
    if name is None:
        return None
    ends = {f"{name}_share": "float64"} if share else {f"{name}_count": "int64"}
    return T.count_encode(name, share=share), ends


def _rare(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64")
    if name is None:
        return None
    others: list[Any] = ["other", "a"] if columns[name] == "string" else [-1, 2**63 - 1]
    most, other = draw(st.integers(1, 3)), draw(st.sampled_from(others))
    return T.group_rare(name, max_categories=most, other=other), {name: columns[name]}


def _hashed(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    width = draw(st.sampled_from([2, 1000, 2**31]))
    return None if name is None else (T.hash_encode(name, width=width), {f"{name}_hash": "int64"})


def _ordinal(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    if name is None:
        return None
    order, least = draw(st.sampled_from(["frequency", "sorted"])), draw(st.integers(1, 2))
    return T.ordinal(name, order=order, min_count=least), {f"{name}_code": "int64"}


def _ngrams(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string")
    if name is None:
        return None
    unit, n, width = draw(st.sampled_from(["char", "word"])), draw(st.integers(1, 3)), 3
    made = T.ngrams(name, unit=unit, n=n, width=width)
    return made, {f"{name}_{unit}{n}_{place}": "int64" for place in range(width)}


def _text(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string")
    if name is None:
        return None
    known = st.sampled_from(["length", "bytes", "tokens", "digits"])
    parts = draw(st.lists(known, min_size=1, unique=True))
    return T.text_parts(name, parts), {f"{name}_{part}": "int64" for part in parts}


def _lag(draw: Draw, columns: Columns, fresh: str) -> Made:
    # It reads a column that was filled under its own name.
    name = _pick(draw, columns, "float64", "int64", "bool")
    return None if name is None else (T.lag("v", by="k", time="t", name=name), {name: "float64"})


def _window(draw: Draw, columns: Columns, fresh: str) -> Made:
    fits = [name for name, kind in columns.items() if kind in ("float64", "int64", "bool")]
    if not fits:
        return None
    names = tuple(draw(st.lists(st.sampled_from(fits), min_size=1, max_size=3, unique=True)))
    made = T.window("v", ["sum", "mean", "std"][: len(names)], by="k", time="t", last=3)
    return replace(made, names=names), dict.fromkeys(names, "float64")


def _impute(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool", "string")
    if name is None:
        return None
    if columns[name] == "string":
        value = draw(st.sampled_from([None, "a"]))
        way = "mode" if value is None else "constant"
        filled = T.impute(name, strategy=way, value=value, indicator=draw(st.booleans()))
        return (*filled, *T.hash_encode(name, width=2**31)), {name: "string"}
    strategy = draw(st.sampled_from(["mean", "median", "mode", "constant"]))
    value = draw(st.sampled_from([-1.25, 0.0, -0.0, 1e300])) if strategy == "constant" else None
    made = T.impute(name, strategy=strategy, value=value, indicator=draw(st.booleans()))
    return made, {name: "float64"}


def _one_hot(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    if name is None:
        return None
    least, most = draw(st.integers(1, 2)), draw(st.sampled_from([None, 1, 2]))
    return T.one_hot(name, min_count=least, max_categories=most), {}


def _target(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    if name is None:
        return None
    smoothing, folds = draw(st.sampled_from([0.5, 3.5, 20])), draw(st.sampled_from([0, 2, 5]))
    made = T.target_encode(name, smoothing=smoothing, folds=folds)
    return made, {f"{name}_target": "float64"}


def _parts(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "datetime", "date")
    if name is None:
        return None
    timed, turns = columns[name] == "datetime", draw(st.booleans())
    known = [
        part
        for part, of in PARTS.items()
        if (timed or not of.timed) and (not turns or of.period is not None)
    ]
    parts = draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    zone = draw(st.sampled_from(ZONES)) if timed else None
    made = T.date_parts(name, parts, tz=zone, cyclical=turns)
    kind = "float64" if turns else "int64"
    return made, dict.fromkeys(made.outputs({name: RAW_TYPES[columns[name]]}), kind)


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
    "drop": _drop,
    "cast": _cast,
    "date_parts": _parts,
    "time_between": _between,
    "cyclical": _cyclical,
    "impute": _impute,
    "scale": _scale,
    "clip": _clip,
    "curve": _curve,
    "bins": _bins,
    "ratio": _ratio,
    "interactions": _interactions,
    "geo_distance": _distance,
    "one_hot": _one_hot,
    "target_encode": _target,
    "lookup": _lookup,
    "count_encode": _count,
    "group_rare": _rare,
    "hash_encode": _hashed,
    "ordinal": _ordinal,
    "ngrams": _ngrams,
    "text_parts": _text,
    "lag": _lag,
    "window": _window,
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
