"""Raw input types: six names, the polars type of each, and the check of one value from a row.

Every raw column is first brought to one of the six, so that a table with 32-bit integers, one
with 64-bit integers and a JSON request mean the same.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from raypipe.core.errors import RecipeError

RAW_TYPES: dict[str, pl.DataType] = {
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us"),
    "date": pl.Date(),
}
NUMERIC = ("int64", "float64", "bool")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A raw column that scoring needs.

    Args:
        dtype: "int64", "float64", "string", "bool", "datetime" (naive UTC, microseconds) or "date".
        nullable: whether a null is part of the contract: the rows of the fit held one, or a
            transform is there to mend it (impute, lookup). The recipe itself takes a null either
            way; a service refuses one that is not.
    """

    dtype: str
    nullable: bool = True


def raw_type(name: str, dtype: pl.DataType) -> str:
    """The raw type that a polars type is read as; a column of nulls alone reads as float64.

    Raises:
        RecipeError: no raw type can hold it (lists, structs, times of day, binary).
    """
    if dtype.is_integer():
        return "int64"
    if dtype.is_float() or dtype.is_decimal() or dtype == pl.Null:
        return "float64"
    if dtype == pl.Boolean:
        return "bool"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "string"
    if dtype == pl.Datetime:
        return "datetime"
    if dtype == pl.Date:
        return "date"
    raise RecipeError(
        f"column {name!r} is of a type that a recipe cannot read",
        str(dtype),
        f"Give one of: {', '.join(RAW_TYPES)}.",
        name,
    )


def canonical(name: str, dtype: pl.DataType, want: str) -> pl.Expr:
    """The column in its raw type, as an expression.

    Raises:
        RecipeError: the column's type is another than the recipe was fitted on. Integers may stand
            for floats; nothing else is changed silently.
    """
    have = raw_type(name, dtype)
    column = pl.col(name)
    if dtype == pl.Null or (have, want) in (("int64", "float64"), (want, want)):
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.cast(RAW_TYPES[want], strict=True)
    raise RecipeError(
        f"column {name!r} is of another type than the recipe was fitted on",
        f"{dtype}",
        f"Give {want}.",
        name,
    )


def unknown(name: str, known: Iterable[str], by: str) -> RecipeError:
    """The error for a column that is not there, with the nearest names that are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 3)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"There are: {names[:20]}."
    return RecipeError(f"column {name!r} is not there, and {by} reads it", None, hint, name)


Coerce = Callable[[Any], Any]


def _wrong(name: str, value: Any, want: str) -> RecipeError:
    shown = f"{type(value).__name__} {repr(value)[:80]}"
    return RecipeError(f"field {name!r} is of a wrong type", shown, f"Give {want} or null.", name)


def _int64(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise _wrong(name, value, "an integer")
    number = operator.index(value)
    if not -(2**63) <= number < 2**63:
        raise _wrong(name, value, "an integer of 64 bits")
    return number


def _float64(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bool) or not (hasattr(value, "__index__") or hasattr(value, "dtype")):
        raise _wrong(name, value, "a number")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(name, value, "a number of 64 bits") from None


def _string(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise _wrong(name, value, "a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong(name, value, "a string of valid Unicode") from None
    return str(value)


def _bool(name: str, value: Any) -> Any:
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def _datetime(name: str, value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _wrong(name, value, "a time as ISO text") from None
    if not isinstance(value, datetime):
        raise _wrong(name, value, "a datetime, or ISO text, in UTC")
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.replace(tzinfo=None, fold=0)


def _date(name: str, value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise _wrong(name, value, "a date as ISO text") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _wrong(name, value, "a date or ISO text")
    return value


_COERCE: dict[str, tuple[type, Callable[[str, Any], Any]]] = {
    "int64": (int, _int64),
    "float64": (float, _float64),
    "string": (str, _string),
    "bool": (bool, _bool),
    "datetime": (datetime, _datetime),
    "date": (date, _date),
}


def coercer(name: str, want: str) -> Coerce:
    """A function that gives one field's value in its raw type, null as None.

    Integers may stand for floats, ISO text for times; times with a zone are brought to UTC.
    Everything else of another type is a RecipeError that names the field.
    """
    exact, check = _COERCE[want]
    if want in ("float64", "bool"):

        def plain(value: Any) -> Any:
            return value if type(value) is exact or value is None else check(name, value)

        return plain

    def careful(value: Any) -> Any:
        return None if value is None else check(name, value)

    return careful


def types_of(schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """The raw type of each column that has one."""
    found = {}
    for name, dtype in schema.items():
        try:
            found[name] = raw_type(name, dtype)
        except RecipeError:
            continue  # a column of another type is an error only when something reads it
    return found
