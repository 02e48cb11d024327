"""What a table asks of the columns that come, and what becomes of those that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import SchemaError
from raypipe.lake.schema.dtypes import check_names, conform, table_type
from raypipe.lake.schema.spec import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.schema.spec import TableSpec

ROW = "_row"
"""In a quarantine table: the whole row as JSON, of a row that the table's columns cannot hold."""


def check_declared(
    declared: Mapping[str, Column],
    types: Mapping[str, pl.DataType],
    spec: TableSpec,
    table: str,
    *,
    may_add: bool,
) -> None:
    """A declared schema is the one that the table has.

    Args:
        declared: the columns as declared.
        types: the types that these columns are stored in.
        spec: the table.
        table: how messages name it.
        may_add: whether columns may join the table: declared ones may then be missing there, and
            it may have others that joined since the schema was written down.

    Raises:
        SchemaError: it is another one; the message names the column and both.
    """
    for name, column in declared.items():
        there = spec.columns.get(name)
        if there is None:
            if may_add and column.nullable:
                continue
            raise _differs(name, table, _shown(types[name], column), "no such column")
        if there.dtype != types[name] or there.nullable != column.nullable:
            here = _shown(types[name], column)
            raise _differs(name, table, here, _shown(there.dtype, there))
    for name, column in spec.columns.items():
        if name not in declared and not (may_add and column.nullable):
            raise _differs(name, table, "no such column", _shown(column.dtype, column))


def _shown(dtype: pl.DataType, column: Column) -> str:
    return f"{dtype}{'' if column.nullable else ' NOT NULL'}"


def _differs(name: str, table: str, declared: str, there: str) -> SchemaError:
    return SchemaError(
        f"the declared schema is not that of {table}",
        f"column {name!r}: {declared} declared, {there} in the table",
        "Declare the table's own columns, or none. A column's type stays what it is: Delta's "
        "readers take a wider one only from engines that mark it.",
        name,
    )


def evolved(
    spec: TableSpec, types: Mapping[str, pl.DataType], declared: Mapping[str, Column], source: str
) -> TableSpec:
    """The table with the columns that it does not have, at its end; older rows are null there.

    Raises:
        SchemaError: a Delta table has no such type, or two names differ by case only.
    """
    new = {
        name: declared.get(name) or Column(table_type(dtype, name, source))
        for name, dtype in types.items()
        if name not in spec.columns
    }
    if not new:
        return spec
    made = spec.with_columns(new)
    check_names(made.types, source)
    return made


def filled(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The frame with nulls in the columns that it does not have."""
    missing = {n: t for n, t in schema.items() if n not in frame.columns}
    return frame.with_columns(pl.lit(None, dtype=t).alias(n) for n, t in missing.items())


def part_fitting(
    frame: pl.DataFrame, schema: Mapping[str, pl.DataType], source: str
) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    """Parts a frame into rows that the table can hold, and others.

    A row with a column that is missing or not known does not fit, nor does a row whose value is
    not of its column's type. A text that is a value of that type fits.

    Returns:
        The rows that fit, in the table's types; the others as they came; why, for each of these.
    """
    whole = [f"column {n!r} is missing" for n in schema if n not in frame.columns]
    whole += [f"column {n!r} is not known" for n in frame.columns if n not in schema]
    if whole:
        empty = pl.DataFrame(schema=dict(schema))
        return empty, frame, _reasons([whole] * frame.height)
    columns: list[pl.Series] = []
    bad: dict[str, pl.Series] = {}
    for name, dtype in schema.items():
        column, misfit = _fitted(frame[name], dtype, source)
        columns.append(column)
        if misfit is not None and misfit.any():
            bad[f"column {name!r} is no {dtype}"] = misfit
    good = pl.DataFrame(columns)
    if not bad:
        return good, frame.clear(), _reasons([])
    flags = pl.DataFrame(bad)
    any_bad = flags.select(pl.any_horizontal(pl.all())).to_series()
    why = [
        [reason for reason, hit in zip(flags.columns, row, strict=True) if hit]
        for row in flags.filter(any_bad).iter_rows()
    ]
    return good.filter(~any_bad), frame.filter(any_bad), _reasons(why)


def _reasons(why: Sequence[Sequence[str]]) -> pl.Series:
    return pl.Series("_reasons", [list(one) for one in why], dtype=pl.List(pl.String))


def _fitted(
    column: pl.Series, dtype: pl.DataType, source: str
) -> tuple[pl.Series, pl.Series | None]:
    name = column.name
    try:
        return conform(column.to_frame(), {name: dtype}, source)[name], None
    except SchemaError:
        pass
    there = column.is_not_null()
    text = isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum)
    if (text or (column.dtype.is_numeric() and dtype.is_numeric())) and not dtype.is_nested():
        try:
            cast = (
                _read(column.cast(pl.String), dtype) if text else column.cast(dtype, strict=False)
            )
            lost = there & cast.is_null()
            if not text:  # a number that came out as another one
                lost = lost | (there & (cast.cast(column.dtype, strict=False) != column))
            return cast, lost.fill_null(True) & there
        except pl.exceptions.PolarsError:
            pass
    return pl.Series(name, [None], dtype=dtype).new_from_index(0, column.len()), there


def _read(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Date):
        return column.str.to_date("%Y-%m-%d", strict=False)
    if isinstance(dtype, pl.Datetime):
        return column.str.to_datetime(time_unit="us", strict=False).cast(dtype)
    if isinstance(dtype, pl.Boolean):
        low = column.str.to_lowercase()
        return (
            pl.select(pl.when(low == "true").then(True).when(low == "false").then(False))
            .to_series()
            .rename(column.name)
        )
    return column.cast(dtype, strict=False)


def as_json(frame: pl.DataFrame) -> pl.Series:
    """Each row as a JSON object."""
    if not frame.height or not frame.width:
        return pl.Series(ROW, ["{}"] * frame.height, dtype=pl.String)
    plain = [
        pl.col(n).bin.encode("hex") if isinstance(t, pl.Binary) else pl.col(n)
        for n, t in frame.schema.items()
    ]
    row = pl.struct(plain).struct.json_encode().alias(ROW)
    return frame.select(row).to_series()
