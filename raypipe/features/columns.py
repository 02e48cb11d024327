"""Raw input types: six names, the polars type of each, and the check of one value from a row.

Every raw column is first brought to one of the six, so that a table with 32-bit integers, one
with 64-bit integers and a JSON request mean the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from raypipe.core.errors import RecipeError
from raypipe.core.near import near

RAW_TYPES: dict[str, pl.DataType] = {
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us"),
    "date": pl.Date(),
}
NUMERIC = ("int64", "float64", "bool")
DIGITS = 38  # of a decimal column


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
    names = list(dict.fromkeys(known))
    hint = near(name, names) or f"There are: {names[:20]}."
    return RecipeError(f"column {name!r} is not there, and {by} reads it", None, hint, name)


Coerce = Callable[[Any], Any]


def _wrong(name: str, value: Any, want: str) -> RecipeError:
    shown = f"{type(value).__name__} {repr(value)[:80]}"
    return RecipeError(f"field {name!r} is of a wrong type", shown, f"Give {want} or null.", name)


def _index(value: Any) -> int | None:
    """A whole number as such, also one of numpy; None for anything else, and for booleans."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several numbers
        return None


def _int64(name: str, value: Any) -> Any:
    number = _index(value)
    if number is None:
        raise _wrong(name, value, "an integer")
    if not -(2**63) <= number < 2**63:
        raise _wrong(name, value, "an integer of 64 bits")
    return number


def _float64(name: str, value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, Decimal):
        return _float_of_decimal(name, value)
    number = _index(value)
    if number is None:
        raise _wrong(name, value, "a number")
    try:
        return float(number)
    except OverflowError:
        raise _wrong(name, value, "a number of 64 bits") from None


def _float_of_decimal(name: str, value: Decimal) -> float:
    """The nearest float, as a column of decimals gives it; only for what such a column can hold."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise _wrong(name, value, "a finite number")
    if max(len(digits), len(digits) + exponent, -exponent) > DIGITS:
        raise _wrong(name, value, f"a decimal of at most {DIGITS} digits, or a float,")
    return float(value) + 0.0  # a column has one zero


def _string(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise _wrong(name, value, "a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong(name, value, "a string of valid Unicode") from None
    return str.__str__(value)  # what it holds; str() of an enum's member is its name


def _bool(name: str, value: Any) -> Any:
    if not isinstance(value, bool | np.bool_):
        raise _wrong(name, value, "true or false")
    return bool(value)


def _plain_time(value: Any) -> Any:
    """A time or a day of numpy as Python has it, other values as they are; NaT of both is None."""
    if isinstance(value, np.datetime64):
        if np.datetime_data(value.dtype)[0] == "ns":
            value = value.astype("datetime64[us]")  # the microsecond that it is in, as in a column
        found = value.item()  # a number where Python has no such year, which is then refused
        return value if isinstance(found, int) else found
    if isinstance(value, datetime) and value != value:  # pandas' missing time
        return None
    return value


def _datetime(name: str, value: Any) -> Any:
    value = _plain_time(value)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _wrong(name, value, "a time as ISO text") from None
    if not isinstance(value, datetime):
        raise _wrong(name, value, "a datetime, or ISO text, in UTC")
    if value.tzinfo is not None:
        try:
            value = value.astimezone(UTC)
        except OverflowError:
            raise _wrong(name, value, "a time whose UTC is within years 1 to 9999") from None
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return datetime(value.year, value.month, value.day, *clock)


def _date(name: str, value: Any) -> Any:
    value = _plain_time(value)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise _wrong(name, value, "a date as ISO text") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _wrong(name, value, "a date or ISO text")
    return date(value.year, value.month, value.day)


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

    Integers and decimals may stand for floats, ISO text for times; times with a zone are brought
    to UTC; scalars of numpy are as those of Python, and the missing values of pandas are null.
    Everything else of another type is a RecipeError that names the field.
    """
    _, check = _COERCE[want]

    def careful(value: Any) -> Any:
        return None if value is None or _is_na(value) else check(name, value)

    return careful


def _is_na(value: Any) -> bool:
    """Whether it is pandas' NA, whose package may not be there."""
    kind = type(value)
    return kind.__name__ == "NAType" and kind.__module__.partition(".")[0] == "pandas"


def column_of(title: str, kind: str, values: Sequence[Any], coerce: Coerce) -> pl.Series:
    """The values of one field as a column of its raw type.

    Args:
        title: the column's name.
        kind: the raw type.
        values: one for each row, as they came.
        coerce: the field's coercer.

    Raises:
        RecipeError: a value is of another type.
    """
    exact, dtype = _COERCE[kind][0], RAW_TYPES[kind]
    plain = set(map(type, values)) <= {exact, type(None)}
    if plain and kind == "datetime":
        plain = all(value is None or value.tzinfo is None for value in values)
    if not plain:
        values = list(map(coerce, values))
    try:
        if kind == "datetime":  # twice as fast by way of Arrow
            return pl.Series(title, pa.array(values, pa.timestamp("us")))
        return pl.Series(title, values, dtype=dtype, strict=True)
    except (TypeError, OverflowError, UnicodeError, pl.exceptions.PolarsError):
        return pl.Series(title, list(map(coerce, values)), dtype=dtype, strict=True)


def types_of(schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """The raw type of each column that has one."""
    found = {}
    for name, dtype in schema.items():
        try:
            found[name] = raw_type(name, dtype)
        except RecipeError:
            continue  # a column of another type is an error only when something reads it
    return found
