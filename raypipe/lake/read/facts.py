"""What the log's statistics tell exactly of a column, file by file, and how partial facts meet.

Statistics are made for pruning, so most of them are bounds only: a long string is cut, other
engines cut times to milliseconds and leave NaN out. A file counts as known here only where the
value in the log is certainly the value in the file; for the others the file must be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.markup import html_table
from raypipe.lake.log.prune import DELETED, OURS

if TYPE_CHECKING:
    from collections.abc import Sequence

# No engine cuts a string's statistics shorter than this. A greatest value that was cut and rounded
# up comes out shorter only where it held U+10FFFF, which is no character.
_CUT_BYTES = 32


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column of a snapshot.

    Attributes:
        name: the column.
        dtype: its polars type.
        count: rows with a value.
        nulls: rows without one.
        least: the least value; None without any, and for nested and binary columns. NaN counts
            only where there is nothing else, as in polars.
        greatest: the greatest value, likewise.
    """

    name: str
    dtype: pl.DataType
    count: int
    nulls: int
    least: Any
    greatest: Any


@dataclass(frozen=True, slots=True)
class Description:
    """All columns of a snapshot.

    Attributes:
        rows: rows of the snapshot.
        columns: one for each column, in order.
        source: ``"statistics"``, or which files had to be read.
    """

    rows: int
    columns: tuple[ColumnFacts, ...]
    source: str

    def __getitem__(self, name: str) -> ColumnFacts:
        for one in self.columns:
            if one.name == name:
                return one
        raise KeyError(name)

    def frame(self) -> pl.DataFrame:
        """One row for each column; least and greatest values as text."""
        return pl.DataFrame(
            [self._row(one) for one in self.columns],
            schema=["column", "type", "count", "nulls", "min", "max"],
            orient="row",
        )

    @staticmethod
    def _row(one: ColumnFacts) -> tuple[str, str, int, int, str | None, str | None]:
        low, high = (None if v is None else str(v) for v in (one.least, one.greatest))
        return one.name, str(one.dtype), one.count, one.nulls, low, high

    def __repr__(self) -> str:
        lines = [f"{self.rows} rows, from {self.source}"]
        for name, dtype, count, nulls, low, high in map(self._row, self.columns):
            ends = "" if low is None else f", {low} to {high}"
            lines.append(f"  {name}: {dtype}, {count} values, {nulls} nulls{ends}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = ("column", "type", "count", "nulls", "min", "max")
        return html_table(head, map(self._row, self.columns))


def has_ends(dtype: pl.DataType) -> bool:
    """Whether a least and a greatest value are told of a type."""
    return not dtype.is_nested() and not isinstance(dtype, pl.Binary | pl.Null)


def nulls_known(files: pl.DataFrame, column: str) -> pl.Expr:
    """Whether the log tells exactly how many values of a column are missing in a file."""
    if f"partition.{column}" in files.columns:
        return pl.lit(True)
    if f"null_count.{column}" not in files.columns:
        return pl.lit(False)
    return (pl.col(DELETED) == 0) & pl.col(f"null_count.{column}").is_not_null()


def ends_known(files: pl.DataFrame, column: str, dtype: pl.DataType) -> pl.Expr:
    """Whether the log tells exactly the least and the greatest value of a column in a file."""
    if not has_ends(dtype) or f"partition.{column}" in files.columns:
        return pl.lit(True)
    if f"null_count.{column}" not in files.columns:
        return pl.lit(False)
    none = pl.col(f"null_count.{column}") == pl.col("num_records")
    if f"min.{column}" not in files.columns or f"max.{column}" not in files.columns:
        return ((pl.col(DELETED) == 0) & none).fill_null(False)
    low, high = pl.col(f"min.{column}"), pl.col(f"max.{column}")
    exact = low.is_not_null() & high.is_not_null()
    if isinstance(dtype, pl.String):
        exact &= (low.str.len_bytes() < _CUT_BYTES) & (high.str.len_bytes() < _CUT_BYTES)
    elif dtype.is_float() or isinstance(dtype, pl.Datetime):
        exact &= pl.col("path").str.contains(OURS)
    elif not (dtype.is_integer() or isinstance(dtype, pl.Boolean | pl.Date)):
        exact = pl.lit(False)
    return ((pl.col(DELETED) == 0) & (none | exact)).fill_null(False)


def known_of(files: pl.DataFrame, column: str, dtype: pl.DataType) -> tuple[int, Any, Any]:
    """Missing values, least and greatest of a column over files in which they are known."""
    live = pl.col("num_records") - pl.col(DELETED)
    if f"partition.{column}" in files.columns:
        value = pl.col(f"partition.{column}")
        some = files.filter(live > 0)
        nulls = some.select(live.filter(value.is_null()).sum()).item()
        low, high = value, value
    else:
        some = files
        known = f"null_count.{column}" in files.columns
        nulls = files[f"null_count.{column}"].sum() if known else 0
        if f"min.{column}" not in files.columns or f"max.{column}" not in files.columns:
            return int(nulls), None, None
        low, high = pl.col(f"min.{column}"), pl.col(f"max.{column}")
    if not has_ends(dtype):
        return int(nulls), None, None
    least, greatest = some.select(low.min().alias("low"), high.max().alias("high")).row(0)
    return int(nulls), least, greatest


def asked(columns: Sequence[tuple[str, pl.DataType]]) -> list[pl.Expr]:
    """What a scan is asked for: missing values, least and greatest of each column."""
    out = []
    for name, dtype in columns:
        column = pl.col(name)
        out.append(column.null_count().alias(f"nulls.{name}"))
        if has_ends(dtype):
            out += [column.min().alias(f"low.{name}"), column.max().alias(f"high.{name}")]
    return out


def meet(values: Sequence[Any], dtype: pl.DataType, *, least: bool) -> Any:
    """The least or greatest of partial answers, as polars orders them."""
    series = pl.Series(values, dtype=dtype)
    return series.min() if least else series.max()
