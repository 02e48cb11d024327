"""The pieces of a snapshot, read by whoever gets them: one file each, or a range of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from raypipe.core.errors import SchemaError
from raypipe.lake.read.broken import reading
from raypipe.lake.storage.keys import for_polars
from raypipe.lake.storage.store import locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Columns = tuple[tuple[str, pl.Expr | None], ...]

_CASTS = pl.ScanCastOptions(
    datetime_cast=["nanosecond-downcast", "millisecond-upcast", "convert-timezone"],
    integer_cast=["upcast", "allow-float"],
    float_cast="upcast",
    missing_struct_fields="insert",
    extra_struct_fields="ignore",
)
_ROW = "__raypipe_row"
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class LakePart:
    """One file of a snapshot, or a range of its rows; pickles.

    Attributes:
        uri: where the file lies.
        rows: rows of the table in it, before any filter.
        nbytes: the file's size.
        schema: the table's columns.
        partition: values of the partition columns.
        storage_options: keys for the object store; a secret, so no ``repr`` shows them.
        where: the filter, or None.
        columns: what is selected, or None for all columns.
        table: the table's name.
        version: the table's version.
        physical: names of columns in the file where they are not those of the table.
        deleted: positions of rows in the file that are no rows of the table any more.
        span: the first row of the range and their number, or None for the whole file.
    """

    uri: str
    rows: int
    nbytes: int
    schema: Mapping[str, pl.DataType]
    partition: Mapping[str, Any]
    storage_options: Mapping[str, str] | None = field(repr=False)
    where: pl.Expr | None
    columns: Columns | None
    table: str
    version: int
    physical: Mapping[str, str] = field(default_factory=dict, repr=False)
    deleted: pl.Series | None = field(default=None, repr=False, compare=False)
    span: tuple[int, int] | None = None

    def stored(self) -> pl.LazyFrame:
        """The part's rows with the table's columns, before filter and selection."""
        return _scan([self], hive=False)

    def lazy(self) -> pl.LazyFrame:
        """The part as a plain LazyFrame, after filter and selection."""
        return shape(self.stored(), self.where, self.columns)

    @property
    def plain(self) -> bool:
        """Whether each stored row is one that is read: none is deleted or filtered out."""
        return self.where is None and self.deleted is None

    def sliced(self, rows: int) -> list[LakePart]:
        """The part as ranges of so many stored rows; read one after the other they are the part."""
        first, count = self.span or (0, self.rows + self._gone)
        if count <= rows:
            return [self]
        starts = range(first, first + count, rows)
        spans = [(at, min(rows, first + count - at)) for at in starts]
        return [replace(self, span=span, rows=span[1]) for span in spans]

    @property
    def _gone(self) -> int:
        return 0 if self.deleted is None else len(self.deleted)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The part's rows after the filter, in the file's order.

        Raises:
            SchemaError: a column is not there.
            LakeError: the file is gone, cut short or spoilt; it and the version are named.
        """
        frame = self.lazy()
        if columns is not None:
            known = [n for n, _ in self.columns] if self.columns is not None else list(self.schema)
            refuse_unknown(columns, known)
            frame = frame.select(columns)
        return reading([self], frame.collect)


def place(folder: str, path: str) -> str:
    """Where a file lies, from its path as the log spells it; a shallow copy's paths are URIs."""
    if "://" not in path:
        return locate(folder, path)
    return unquote(path.removeprefix("file://"))


def shape(frame: pl.LazyFrame, where: pl.Expr | None, columns: Columns | None) -> pl.LazyFrame:
    """Filter, then selection."""
    if where is not None:
        frame = frame.filter(where)
    if columns is not None:
        frame = frame.select(
            pl.col(name) if expr is None else expr.alias(name) for name, expr in columns
        )
    return frame


def scan(parts: Sequence[LakePart]) -> pl.LazyFrame:
    """All parts as one plain LazyFrame in their order, before filter and selection.

    As few scans as can be: files become one scan as long as they need nothing of their own. Where
    the folders spell the partition values, these come from the paths, so that a filter on them
    that is added later still keeps files closed.
    """
    first = parts[0]
    hive = bool(first.partition) and not first.physical and all(_spelled(part) for part in parts)

    def alike(part: LakePart) -> object:
        if part.deleted is not None or part.span is not None:
            return id(part)
        return None if hive else tuple(part.partition.values())

    scans = [_scan(list(run), hive=hive) for _, run in groupby(parts, alike)]
    return scans[0] if len(scans) == 1 else pl.concat(scans)


def _scan(parts: Sequence[LakePart], *, hive: bool) -> pl.LazyFrame:
    first = parts[0]
    physical = first.physical
    frame = pl.scan_parquet(
        [part.uri for part in parts],
        schema={physical.get(n, n): t for n, t in first.schema.items() if n not in first.partition},
        glob=False,
        hive_partitioning=hive,
        hive_schema={n: first.schema[n] for n in first.partition} if hive else None,
        missing_columns="insert",
        extra_columns="ignore",
        cast_options=_CASTS,
        storage_options=for_polars(first.storage_options),
        row_index_name=None if first.deleted is None else _ROW,
    )
    if first.span is not None:
        frame = frame.slice(*first.span)
    if first.deleted is not None:
        frame = frame.filter(~pl.col(_ROW).is_in(first.deleted.implode())).drop(_ROW)
    if physical:
        stored = [n for n in first.schema if n not in first.partition]
        frame = frame.select(pl.col(physical.get(n, n)).alias(n) for n in stored)
    if not first.partition:
        return frame
    if not hive:
        values = {n: pl.lit(v, dtype=first.schema[n]) for n, v in first.partition.items()}
        frame = frame.with_columns(**values)
    return frame.select(list(first.schema))


def _spelled(part: LakePart) -> bool:
    """Whether the folders of a file are exactly its partition values, as polars reads them."""
    pairs = list(_folders(part.uri))
    if [name for name, _ in pairs] != list(part.partition):
        return False
    return all(
        text == _hive_text(value)
        for (_, text), value in zip(pairs, part.partition.values(), strict=True)
    )


def _folders(uri: str) -> Iterator[tuple[str, str]]:
    for folder in uri.split("/")[:-1]:
        name, equals, text = folder.partition("=")
        if equals:
            yield unquote(name), unquote(text)


def _hive_text(value: Any) -> str:
    if value is None:
        return _NULL_FOLDER
    if isinstance(value, datetime):  # one with a zone is left to the log
        return f"{value:%Y-%m-%d %H:%M:%S.%f}" if value.tzinfo is None else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def refuse_unknown(wanted: Sequence[str], known: Sequence[str]) -> None:
    """Refuses names that are not known.

    Raises:
        SchemaError: the first of them is not a column.
    """
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SchemaError(
            f"there is no column {unknown[0]!r}", f"columns {list(known)}", None, unknown[0]
        )
