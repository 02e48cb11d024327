"""Which type can be made of which, for a column and for one value, with the same outcome.

Every conversion is a pair: an expression of a column and a function of a value. Both give null
for what the target type cannot hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES: dict[str, pl.DataType] = {
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us"),
    "date": pl.Date(),
}
_WHOLE = r"^[+-]?[0-9]{1,100}$"
_NUMBER = r"^[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,9})?$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"
_EPOCH = datetime(1970, 1, 1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a value of one type becomes one of another.

    Args:
        batch: of a column.
        row: of a value that is not null.
        safe: whether every value has a counterpart.
    """

    batch: Callable[[pl.Expr], pl.Expr]
    row: Callable[[Any], Any]
    safe: bool = True


def _same(value: Any) -> Any:
    return value


def _in_range(value: int) -> int | None:
    return value if -(2**63) <= value < 2**63 else None


def _whole_of_float(value: float) -> int | None:
    # NaN and infinities are not between the bounds.
    return int(value) if -(2.0**63) <= value < 2.0**63 else None


def _whole_of_text(text: str) -> int | None:
    return _in_range(int(text)) if re.fullmatch(_WHOLE[1:-1], text) else None


def _number_of_text(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER[1:-1], text) else None


def _date_of_text(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(_DATE[1:-1], text) else None
    except ValueError:
        return None


def _time_of_text(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if re.fullmatch(_TIME[1:-1], text) else None
    except ValueError:
        return None


def _matching(text: pl.Expr, pattern: str) -> pl.Expr:
    return pl.when(text.str.contains(pattern)).then(text)


def _calendar(text: pl.Expr, pattern: str) -> pl.Expr:
    # Python has no year 0.
    return pl.when(text.str.contains(pattern) & ~text.str.starts_with("0000")).then(text)


def _micros(value: datetime) -> int:
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_OF_TEXT = {
    "int64": Conversion(
        lambda c: _matching(c, _WHOLE).cast(pl.Int64, strict=False), _whole_of_text, False
    ),
    "float64": Conversion(
        lambda c: _matching(c, _NUMBER).cast(pl.Float64, strict=False), _number_of_text, False
    ),
    "bool": Conversion(
        lambda c: pl.when(c == "true").then(True).when(c == "false").then(False),
        {"true": True, "false": False}.get,
        False,
    ),
    "date": Conversion(
        lambda c: _calendar(c, _DATE).str.to_date("%Y-%m-%d", strict=False), _date_of_text, False
    ),
    "datetime": Conversion(
        lambda c: (
            _calendar(c, _TIME)
            .str.replace(" ", "T", literal=True)
            .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")
        ),
        _time_of_text,
        False,
    ),
}
_OF_WHOLE = {
    "int64": Conversion(lambda c: c.cast(pl.Int64, strict=False), _in_range, False),
    "float64": Conversion(lambda c: c.cast(pl.Float64), float),
    "string": Conversion(lambda c: c.cast(pl.String), str),
    "bool": Conversion(lambda c: c != 0, bool),
}
_OF_FLOAT = {
    "int64": Conversion(
        lambda c: c.cast(pl.Float64).cast(pl.Int64, strict=False), _whole_of_float, False
    ),
    "float64": Conversion(lambda c: c.cast(pl.Float64), float),
}
_OF_BOOL = {
    "int64": Conversion(lambda c: c.cast(pl.Int64), int),
    "float64": Conversion(lambda c: c.cast(pl.Float64), float),
    "string": Conversion(lambda c: c.cast(pl.String), {True: "true", False: "false"}.get),
}
_OF_DATE = {
    "int64": Conversion(
        lambda c: c.cast(pl.Int32).cast(pl.Int64), lambda v: v.toordinal() - _EPOCH_DAY
    ),
    "string": Conversion(lambda c: c.dt.strftime("%Y-%m-%d"), date.isoformat),
    "datetime": Conversion(
        lambda c: c.cast(pl.Datetime("us")), lambda v: datetime(v.year, v.month, v.day)
    ),
}
_OF_TIME = {
    "int64": Conversion(lambda c: c.cast(pl.Datetime("us")).cast(pl.Int64), _micros),
    "date": Conversion(lambda c: c.dt.date(), datetime.date),
}


def conversions(dtype: pl.DataType) -> dict[str, Conversion]:
    """What can be made of a type, by the target's name."""
    known: dict[str, Conversion] = {}
    if dtype == pl.String:
        known = _OF_TEXT
    elif dtype.is_integer():
        known = _OF_WHOLE
    elif dtype.is_float():
        known = _OF_FLOAT
    elif dtype == pl.Boolean:
        known = _OF_BOOL
    elif dtype == pl.Date:
        known = _OF_DATE
    elif dtype == pl.Datetime:
        known = _OF_TIME
    itself = {name for name, kind in TYPES.items() if kind == dtype}
    return {**known, **dict.fromkeys(itself, Conversion(lambda c: c, _same))}
