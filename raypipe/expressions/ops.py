"""The operations that an expression may hold: one table, read by every other file of the room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

VERSION = 1
MAX_DEPTH = 100
MAX_NODES = 10_000
MAX_LIST = 10_000
MAX_TEXT = 10_000

# A name in the JSON form, and the polars type that it stands for.
TYPES: dict[str, pl.DataType] = {
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
    "duration": pl.Duration("us"),
}
TYPE_NAMES = {dtype: name for name, dtype in TYPES.items()}

POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What polars raises at an expression; of a few it is taken by surprise, and panics."""

Option = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    """Whether a value is a text of bearable length."""
    return isinstance(value, str) and len(value) <= MAX_TEXT


def is_bool(value: Any) -> bool:
    """Whether a value is true or false."""
    return isinstance(value, bool)


def _is_decimals(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 15


def _one_of(*choices: str) -> Option:
    return lambda value: isinstance(value, str) and value in choices


@dataclass(frozen=True, slots=True)
class Op:
    """An operation: how many arguments, which options, and the polars call that it stands for."""

    build: Callable[..., pl.Expr]
    least: int
    most: int
    options: Mapping[str, Option] = field(default_factory=dict)


def _unary(build: Callable[[pl.Expr], pl.Expr]) -> Op:
    return Op(build, 1, 1)


def _binary(build: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Op:
    return Op(build, 2, 2)


def _clip(value: pl.Expr, *bounds: pl.Expr, low: bool, high: bool) -> pl.Expr:
    given = iter(bounds)
    return value.clip(next(given) if low else None, next(given) if high else None)


def _total(unit: str) -> Op:
    return _unary(lambda a: getattr(a.dt, f"total_{unit}")())


OPS: dict[str, Op] = {
    "eq": _binary(lambda a, b: a == b),
    "ne": _binary(lambda a, b: a != b),
    "gt": _binary(lambda a, b: a > b),
    "ge": _binary(lambda a, b: a >= b),
    "lt": _binary(lambda a, b: a < b),
    "le": _binary(lambda a, b: a <= b),
    "eq_missing": _binary(lambda a, b: a.eq_missing(b)),
    "ne_missing": _binary(lambda a, b: a.ne_missing(b)),
    "add": _binary(lambda a, b: a + b),
    "sub": _binary(lambda a, b: a - b),
    "mul": _binary(lambda a, b: a * b),
    "div": _binary(lambda a, b: a / b),
    "floordiv": _binary(lambda a, b: a // b),
    "mod": _binary(lambda a, b: a % b),
    "and": _binary(lambda a, b: a & b),
    "or": _binary(lambda a, b: a | b),
    "xor": _binary(lambda a, b: a ^ b),
    "not": _unary(lambda a: a.not_()),
    "neg": _unary(lambda a: a.neg()),
    "is_null": _unary(lambda a: a.is_null()),
    "is_not_null": _unary(lambda a: a.is_not_null()),
    "is_nan": _unary(lambda a: a.is_nan()),
    "is_not_nan": _unary(lambda a: a.is_not_nan()),
    "is_finite": _unary(lambda a: a.is_finite()),
    "is_infinite": _unary(lambda a: a.is_infinite()),
    "is_in": Op(lambda a, b, **o: a.is_in(b, **o), 2, 2, {"nulls_equal": is_bool}),
    "is_between": Op(
        lambda a, low, high, closed: a.is_between(low, high, closed),
        3,
        3,
        {"closed": _one_of("both", "left", "right", "none")},
    ),
    "when": Op(lambda test, then, other: pl.when(test).then(then).otherwise(other), 3, 3),
    "cast": Op(
        lambda a, to, strict: a.cast(TYPES[to], strict=strict),
        1,
        1,
        {"to": _one_of(*TYPES), "strict": is_bool},
    ),
    "alias": Op(lambda a, name: a.alias(name), 1, 1, {"name": is_text}),
    "fill_null": _binary(lambda a, b: a.fill_null(b)),
    "coalesce": Op(lambda *args: pl.coalesce(*args), 1, 100),
    "min_horizontal": Op(lambda *args: pl.min_horizontal(*args), 1, 100),
    "max_horizontal": Op(lambda *args: pl.max_horizontal(*args), 1, 100),
    "all_horizontal": Op(lambda *args: pl.all_horizontal(*args), 1, 100),
    "any_horizontal": Op(lambda *args: pl.any_horizontal(*args), 1, 100),
    "clip": Op(_clip, 1, 3, {"low": is_bool, "high": is_bool}),
    "abs": _unary(lambda a: a.abs()),
    "sign": _unary(lambda a: a.sign()),
    "floor": _unary(lambda a: a.floor()),
    "ceil": _unary(lambda a: a.ceil()),
    "round": Op(
        lambda a, decimals, mode: a.round(decimals, mode),
        1,
        1,
        {"decimals": _is_decimals, "mode": _one_of("half_to_even", "half_away_from_zero")},
    ),
    "sqrt": _unary(lambda a: a.sqrt()),
    "cbrt": _unary(lambda a: a.cbrt()),
    "pow": _binary(lambda a, b: a.pow(b)),
    "exp": _unary(lambda a: a.exp()),
    "log": _binary(lambda a, b: a.log(b)),
    "log1p": _unary(lambda a: a.log1p()),
    "sin": _unary(lambda a: a.sin()),
    "cos": _unary(lambda a: a.cos()),
    "tan": _unary(lambda a: a.tan()),
    "tanh": _unary(lambda a: a.tanh()),
    "year": _unary(lambda a: a.dt.year()),
    "quarter": _unary(lambda a: a.dt.quarter()),
    "month": _unary(lambda a: a.dt.month()),
    "week": _unary(lambda a: a.dt.week()),
    "weekday": _unary(lambda a: a.dt.weekday()),
    "day": _unary(lambda a: a.dt.day()),
    "ordinal_day": _unary(lambda a: a.dt.ordinal_day()),
    "hour": _unary(lambda a: a.dt.hour()),
    "minute": _unary(lambda a: a.dt.minute()),
    "second": _unary(lambda a: a.dt.second()),
    "dt_date": _unary(lambda a: a.dt.date()),
    "truncate": _binary(lambda a, b: a.dt.truncate(b)),
    "offset_by": _binary(lambda a, b: a.dt.offset_by(b)),
    "total_days": _total("days"),
    "total_hours": _total("hours"),
    "total_minutes": _total("minutes"),
    "total_seconds": _total("seconds"),
    "total_milliseconds": _total("milliseconds"),
    "total_microseconds": _total("microseconds"),
    "contains": Op(
        lambda a, b, literal, strict: a.str.contains(b, literal=literal, strict=strict),
        2,
        2,
        {"literal": is_bool, "strict": is_bool},
    ),
    "starts_with": _binary(lambda a, b: a.str.starts_with(b)),
    "ends_with": _binary(lambda a, b: a.str.ends_with(b)),
    "len_chars": _unary(lambda a: a.str.len_chars()),
    "len_bytes": _unary(lambda a: a.str.len_bytes()),
    "to_lowercase": _unary(lambda a: a.str.to_lowercase()),
    "to_uppercase": _unary(lambda a: a.str.to_uppercase()),
    "strip_chars": _binary(lambda a, b: a.str.strip_chars(b)),
    "concat_str": Op(
        lambda *args, separator, ignore_nulls: pl.concat_str(
            list(args), separator=separator, ignore_nulls=ignore_nulls
        ),
        1,
        100,
        {"separator": is_text, "ignore_nulls": is_bool},
    ),
}


def supported() -> str:
    """What an expression may hold, for messages."""
    return "columns, plain values, " + ", ".join(sorted(OPS))
