"""Finding rows by their keys: exact, in bounded memory, reading key columns only.

Keys are compared as values. Where they are too many for one pass they are cut by a hash into as
many passes as it takes, all in one process; a hash only says in which pass two keys meet.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import polars as pl

from raypipe.lake.storage.keys import for_polars
from raypipe.lake.storage.patience import waited

PASS_BYTES = 256 * 1024**2
"""Bytes of the batch's keys that one pass holds."""

_FILE, _ROW = "__file", "__row"
_WIDE, _NARROW = 48, 16  # bytes that a string and another value take in a table of keys, roughly


class KeyPart(Protocol):
    """Rows whose columns can be read, always in one order."""

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The piece's rows."""


class NewPart(KeyPart, Protocol):
    """A piece of what is being written.

    Attributes:
        rows: its rows.
        schema: columns and types of the table.
    """

    @property
    def rows(self) -> int:
        """Its rows."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Columns and types of the table."""


Pruned = Callable[[pl.Expr | None], Sequence[KeyPart]]
"""The parts of a table that may hold a row of a filter."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that this write has made.

    Attributes:
        uri: where it lies.
        rows: its rows.
        partition: values of the partition columns, which are not in the file.
        schema: columns and types of the table.
        storage_options: of the object store; a secret, so no ``repr`` shows them.
    """

    uri: str
    rows: int
    partition: Mapping[str, Any]
    schema: Mapping[str, pl.DataType]
    storage_options: Mapping[str, str] | None = field(default=None, repr=False)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The file's rows, in its order."""
        names = list(self.schema if columns is None else columns)
        stored = [n for n in names if n not in self.partition]
        options = for_polars(self.storage_options)
        lazy = pl.scan_parquet(
            self.uri, glob=False, hive_partitioning=False, storage_options=options
        ).select(stored)
        frame = (
            waited(lazy.collect, self.uri, self.storage_options)
            if stored
            else pl.DataFrame(height=self.rows)
        )
        values = [
            pl.lit(v, dtype=self.schema[n]).alias(n)
            for n, v in self.partition.items()
            if n in names
        ]
        return frame.with_columns(values).select(names)


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that break a rule: row numbers by the number of the file.

    Attributes:
        rows: the rows.
        bounds: least and greatest key of the batch by column; a column without bounds is missing.
        read: how many keys the batch has.
    """

    rows: Mapping[int, pl.Series]
    bounds: Mapping[str, tuple[Any, Any]]
    read: int = 0

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(map(len, self.rows.values()))


def passes(rows: int, types: Sequence[pl.DataType], limit: int = PASS_BYTES) -> int:
    """In how many passes the keys of a batch are searched."""
    width = sum(_WIDE if isinstance(t, pl.String | pl.Binary) else _NARROW for t in types)
    return max(1, math.ceil(rows * (width + _NARROW) / limit))


def repeated(
    files: Sequence[NewPart], columns: Sequence[str], table: Pruned | None, limit: int = PASS_BYTES
) -> Found:
    """Rows whose key an earlier row has, or any row of the table.

    Args:
        files: the batch, in its order.
        columns: the key.
        table: the table's parts, or None to look at the batch alone.
        limit: bytes of keys that a pass may hold.
    """
    found: list[pl.DataFrame] = []
    bounds: dict[str, tuple[Any, Any]] = {}
    read = 0
    for keys in _passes(files, columns, limit):
        bounds = _wider(bounds, keys, columns)
        read += keys.height
        if keys.select(columns).n_unique() < keys.height:
            first = pl.struct(columns).is_first_distinct()
            found.append(keys.filter(~first))
            keys = keys.filter(first)
        if table is None or not keys.height:
            continue
        for part in table(within(_wider({}, keys, columns))):
            theirs = _fit(part.read(list(columns)), keys, columns)
            known = keys.join(theirs, on=list(columns), how="semi")
            if known.height:
                found.append(known)
                keys = keys.join(known, on=[_FILE, _ROW], how="anti")
                if not keys.height:
                    break
    return Found(_numbers(found), bounds, read)


def missing(
    files: Sequence[NewPart],
    columns: Sequence[str],
    parent: Pruned,
    parent_columns: Sequence[str],
    limit: int = PASS_BYTES,
) -> Found:
    """Rows whose key no row of the parent has. Arguments are those of ``repeated``."""
    found: list[pl.DataFrame] = []
    bounds: dict[str, tuple[Any, Any]] = {}
    read = 0
    names = dict(zip(columns, parent_columns, strict=True))
    for keys in _passes(files, columns, limit):
        bounds = _wider(bounds, keys, columns)
        read += keys.height
        left = keys.select(columns).unique()
        here = _wider({}, keys, columns)
        for part in parent(within({names[c]: ends for c, ends in here.items()})):
            if not left.height:
                break
            rows = part.read(list(parent_columns))
            theirs = _fit(rows.rename({names[c]: f"_{c}" for c in columns}), left, columns, "_")
            left = left.join(theirs, on=list(columns), how="anti")
        if left.height:
            found.append(keys.join(left, on=list(columns), how="semi"))
    return Found(_numbers(found), bounds, read)


def distinct(files: Sequence[NewPart], column: str, limit: int = PASS_BYTES) -> int:
    """How many different values the batch has in a column, null not counted; exact."""
    return sum(keys[column].n_unique() for keys in _passes(files, (column,), limit) if keys.height)


def within(bounds: Mapping[str, tuple[Any, Any]]) -> pl.Expr | None:
    """A filter that every key of these bounds passes; None when it would keep all."""
    sides = [pl.col(c).is_between(pl.lit(low), pl.lit(high)) for c, (low, high) in bounds.items()]
    return functools.reduce(operator.and_, sides) if sides else None


def _passes(files: Sequence[NewPart], columns: Sequence[str], limit: int) -> Iterator[pl.DataFrame]:
    """Keys with the places of their rows, without those that hold a null."""
    if not files:
        return
    count = passes(sum(f.rows for f in files), [files[0].schema[c] for c in columns], limit)
    for number in range(count):
        pieces = []
        for index, file in enumerate(files):
            keys = file.read(list(columns)).with_row_index(_ROW)
            keys = keys.drop_nulls(list(columns)).with_columns(
                pl.lit(index, pl.UInt32).alias(_FILE)
            )
            if count > 1:
                keys = keys.filter(pl.struct(columns).hash(seed=1) % count == number)
            pieces.append(keys)
        yield pl.concat(pieces)


def _fit(
    theirs: pl.DataFrame, ours: pl.DataFrame, columns: Sequence[str], prefix: str = ""
) -> pl.DataFrame:
    """Another table's keys in the types of ours; what has no place in them cannot be equal."""
    cast = [pl.col(prefix + c).cast(ours.schema[c], strict=False).alias(c) for c in columns]
    return theirs.select(cast).drop_nulls().unique()


def _wider(
    bounds: Mapping[str, tuple[Any, Any]], keys: pl.DataFrame, columns: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    found = dict(bounds)
    for name in columns:
        ends = _ends(keys[name])
        if ends is not None:
            old = found.get(name)
            found[name] = ends if old is None else (min(old[0], ends[0]), max(old[1], ends[1]))
    return found


def _ends(column: pl.Series) -> tuple[Any, Any] | None:
    dtype = column.dtype
    if column.is_empty() or not (
        dtype.is_integer() or isinstance(dtype, pl.String | pl.Date | pl.Datetime)
    ):
        return None  # floats with NaN, booleans, bytes and decimals gain little
    low, high = column.min(), column.max()
    good = isinstance(low, int | str | date)
    return (low, high) if good else None


def _numbers(found: Sequence[pl.DataFrame]) -> dict[int, pl.Series]:
    if not found:
        return {}
    places = pl.concat([f.select(_FILE, _ROW) for f in found]).unique().sort(_FILE, _ROW)
    groups = places.partition_by(_FILE, as_dict=True)
    return {int(file[0]): rows[_ROW] for file, rows in groups.items()}
