"""The column types a table may have, and how a frame is brought to them without losing a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import polars as pl

from raypipe.core.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIME = pl.Datetime("us")
_FIRST_DAY, _PAST_DAY = -719_162, 2_932_897  # days from 1970-01-01 to 0001-01-01 and 10000-01-01
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_WIDER: dict[type[pl.DataType], pl.DataType] = {
    pl.UInt8: pl.Int16(),
    pl.UInt16: pl.Int32(),
    pl.UInt32: pl.Int64(),
    pl.UInt64: pl.Int64(),
    pl.Categorical: pl.String(),
    pl.Enum: pl.String(),
    pl.Null: pl.String(),
}
_KEPT = (
    pl.Int8,
    pl.Int16,
    pl.Int32,
    pl.Int64,
    pl.Float32,
    pl.Float64,
    pl.String,
    pl.Boolean,
    pl.Date,
    pl.Binary,
    pl.Decimal,
)
_MOST_DIGITS = 38  # of a decimal, in a Delta table


def table_type(dtype: pl.DataType, column: str, source: str) -> pl.DataType:
    """The type in which a table keeps a column of ``dtype``.

    Unsigned integers become the next wider signed ones, categories become strings, every timestamp
    becomes naive UTC in microseconds, and a column without any value becomes a string column.

    Raises:
        SchemaError: a Delta table has no such type (a time of day, a duration, an object, a decimal
            of more than 38 digits).
    """
    if isinstance(dtype, pl.Datetime):
        return TIME
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(table_type(_instance(dtype.inner), column, source))
    if isinstance(dtype, pl.Struct):
        return pl.Struct(
            {f.name: table_type(_instance(f.dtype), column, source) for f in dtype.fields}
        )
    wide = isinstance(dtype, pl.Decimal) and (dtype.precision or 0) > _MOST_DIGITS
    if isinstance(dtype, _KEPT) and not wide:
        return dtype
    wider = _WIDER.get(type(dtype))
    if wider is None:
        raise SchemaError(
            f"a table cannot hold column {column!r} of {source}",
            str(dtype),
            "Cast it to a number, a string or a timestamp.",
            column,
        )
    return wider


def _instance(dtype: object) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[return-value]


def check_names(schema: Mapping[str, pl.DataType], source: str) -> None:
    """Every column has a name without a null character, and no two names are the same for a
    reader that ignores case.

    Raises:
        SchemaError: it is otherwise; no engine could make or read such a table.
    """
    seen: dict[str, str] = {}
    for name, dtype in schema.items():
        twin = seen.setdefault(name.casefold(), name)
        if "\0" in name:  # Arrow hands names on as text that ends there
            raise SchemaError(
                "a column's name holds a null character", repr(name), "Rename it.", name
            )
        if not name or twin != name:
            raise SchemaError(
                "a column has no name" if not name else "two columns differ only by case",
                f"{source} with columns {list(schema)}",
                "Rename it.",
                name or None,
            )
        while isinstance(dtype, pl.List):
            dtype = _instance(dtype.inner)
        if isinstance(dtype, pl.Struct):
            check_names({f.name: _instance(f.dtype) for f in dtype.fields}, f"{source}, {name!r}")


def merge_types(
    left: Mapping[str, pl.DataType], right: Mapping[str, pl.DataType], sources: tuple[str, str]
) -> dict[str, pl.DataType]:
    """The types of a first write from several sources: nothing meets X gives X, whole meets real
    gives real, a date meets a timestamp gives a timestamp.

    Raises:
        SchemaError: a column is in one source only, or its types do not meet.
    """
    check_columns(left, right, sources[1], f"as in {sources[0]}")
    return {name: _meet(name, left[name], right[name], sources) for name in left}


def _meet(
    name: str, left: pl.DataType, right: pl.DataType, sources: tuple[str, str]
) -> pl.DataType:
    if left == right or isinstance(right, pl.Null):
        return left
    if isinstance(left, pl.Null):
        return right
    both = {type(left), type(right)}
    if left.is_integer() and right.is_integer():
        return pl.Int64()
    if left.is_numeric() and right.is_numeric() and not both & {pl.Decimal}:
        return pl.Float64()
    if both <= {pl.Date, pl.Datetime}:
        return TIME
    if both <= {pl.String, pl.Categorical, pl.Enum}:
        return pl.String()
    raise SchemaError(
        f"column {name!r} has two types",
        f"{left} in {sources[0]}, {right} in {sources[1]}",
        "Write them to one type first, or correct the file.",
        name,
    )


def check_columns(
    wanted: Mapping[str, object], found: Mapping[str, object], source: str, of: str
) -> None:
    """Both name the same columns, in any order.

    Raises:
        SchemaError: a column is missing or not known; the message names it and the source.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SchemaError(
            f"column {missing[0]!r} is missing in {source}",
            f"columns {list(found)}",
            f"Give all columns {of}: missing {missing}.",
            missing[0],
        )
    extra = [name for name in found if name not in wanted]
    if extra:
        raise SchemaError(
            f"column {extra[0]!r} of {source} is not known",
            f"columns {list(found)}",
            f"Give the columns {of} only: not known {extra}.",
            extra[0],
        )


def conform(frame: pl.DataFrame, schema: Mapping[str, pl.DataType], source: str) -> pl.DataFrame:
    """The frame with exactly the schema's columns, order and types; no value changes.

    Raises:
        SchemaError: a column is missing, not known, or its type or a value in it does not fit; the
            message names the column, both types and the source.
    """
    check_columns(schema, frame.schema, source, "of the table")
    return pl.DataFrame([_fit(frame[name], dtype, source) for name, dtype in schema.items()])


def _fit(column: pl.Series, want: pl.DataType, source: str) -> pl.Series:
    have = column.dtype
    if isinstance(have, pl.Date | pl.Datetime):
        _refuse_far_years(column, want, source)
    if have == want:
        return column
    if isinstance(have, pl.Null):
        return column.cast(want)
    if have.is_integer() and want.is_integer():
        return _by_value(column, want, source)
    if have.is_integer() and want.is_float():
        limit = 2**24 if isinstance(want, pl.Float32) else 2**53
        low, high = column.min(), column.max()
        if low is not None and (low < -limit or high > limit):  # type: ignore[operator]
            raise _clash(column, want, source, f"a number beyond ±{limit}")
        return column.cast(want)
    if isinstance(have, pl.Float32) and isinstance(want, pl.Float64):
        return column.cast(want)
    if isinstance(want, pl.Datetime) and isinstance(have, pl.Datetime | pl.Date):
        return _as_time(column, want, source)
    if isinstance(want, pl.String) and isinstance(have, pl.Categorical | pl.Enum):
        return column.cast(want)
    if isinstance(want, pl.List | pl.Struct | pl.Decimal) and table_type(
        have, column.name, source
    ) == table_type(want, column.name, source):
        return _by_value(column, want, source)
    raise _clash(column, want, source)


def _refuse_far_years(column: pl.Series, want: pl.DataType, source: str) -> None:
    """Neither Python nor a Delta log can write a year before 1 or after 9999."""
    days = column.to_physical()
    per_day = _PER_DAY[column.dtype.time_unit] if isinstance(column.dtype, pl.Datetime) else 1
    low, high = days.min(), days.max()
    if low is None or high is None:
        return
    if cast("int", low) < _FIRST_DAY * per_day or cast("int", high) >= _PAST_DAY * per_day:
        raise _clash(column, want, source, "a date outside of the years 1 to 9999")


def _by_value(column: pl.Series, want: pl.DataType, source: str) -> pl.Series:
    try:
        return column.cast(want, strict=True)
    except pl.exceptions.InvalidOperationError:
        raise _clash(column, want, source, "a value out of its range") from None


def _as_time(column: pl.Series, want: pl.Datetime, source: str) -> pl.Series:
    have = column.dtype
    plain = column
    if isinstance(have, pl.Datetime) and have.time_zone is not None:
        plain = plain.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    cast = plain.cast(pl.Datetime(want.time_unit))
    if isinstance(have, pl.Datetime) and not cast.cast(plain.dtype).equals(plain):
        raise _clash(column, want, source, "a time finer than a microsecond")
    return cast.dt.replace_time_zone(want.time_zone) if want.time_zone else cast


def _clash(
    column: pl.Series, want: pl.DataType, source: str, detail: str | None = None
) -> SchemaError:
    got = f"{column.dtype}" + (f" with {detail}" if detail else "")
    return SchemaError(
        f"column {column.name!r} of {source} does not fit the table's type {want}",
        got,
        "Correct the file, or cast the column before it is written.",
        column.name,
    )
