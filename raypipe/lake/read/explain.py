"""What reading a snapshot takes: files, row groups and bytes, and what ruled the others out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.markup import html_table
from raypipe.expressions import decode, root_columns
from raypipe.lake.log.prune import may_match
from raypipe.lake.read.rowgroups import BYTES, row_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from raypipe.lake.read.part import LakePart
    from raypipe.lake.read.pin import Pinned

_FOOTERS = 64
"""Footers are read for the explanation of at most so many files."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One part of a filter (parts are joined by ``&``) and the files that it alone rules out."""

    text: str
    pruned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a read takes.

    Attributes:
        table: the table's name.
        version: its version.
        files_read: files that are opened.
        files: files of the table.
        bytes_read: bytes of the column chunks that are read where the footers were looked at,
            else sizes of the files that are opened. Beside them footers are read. It is the most: a
            row group in which no row turns out to pass is not read to its end.
        bytes: bytes of all files.
        row_groups_read: row groups of the opened files that can hold a row of the filter; None
            where the footers were not looked at (an object store, or more than 64 files).
        row_groups: row groups of the opened files; None likewise.
        columns_read: columns that are read from the files.
        filters: the parts of the filter.
        partitions: for each partition column the values that are read, of how many.
    """

    table: str
    version: int
    files_read: int
    files: int
    bytes_read: int
    bytes: int
    row_groups_read: int | None
    row_groups: int | None
    columns_read: tuple[str, ...]
    filters: tuple[Filter, ...]
    partitions: Mapping[str, tuple[int, int]]

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "table", f"{self.table}, version {self.version}"
        yield "files", f"{self.files_read} of {self.files}"
        if self.row_groups is None:
            yield "row groups", "not looked at"
        else:
            yield "row groups", f"{self.row_groups_read} of {self.row_groups} in these files"
        yield "bytes", f"{self.bytes_read:,} of {self.bytes:,}"
        yield "columns", ", ".join(self.columns_read)
        for name, (some, every) in self.partitions.items():
            yield f"partitions by {name}", f"{some} of {every}"
        for one in self.filters:
            yield f"filter {one.text}", f"rules out {one.pruned} of {self.files} files"

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self._lines())

    def _repr_html_(self) -> str:
        return html_table(("read", ""), self._lines())


def explain(
    table: str,
    pinned: Pinned,
    parts: Sequence[LakePart],
    kept: pl.DataFrame,
    where: Mapping[str, Any] | None,
    columns: Sequence[str],
) -> Explanation:
    """What reading the parts takes.

    Args:
        table: the table's name.
        pinned: the table at its version.
        parts: the parts that are read.
        kept: their files in the log.
        where: the encoded filter.
        columns: the columns that are read.
    """
    stored = [name for name in columns if name not in pinned.partition_by]
    found = [] if len(parts) > _FOOTERS else [row_groups(part) for part in parts]
    looked = [one for one in found if one is not None]
    groups = read = None
    nbytes = int(kept["size_bytes"].sum())
    if len(looked) == len(parts):
        some = [_kept(one, where, pinned.schema) for one in looked]
        groups, read = sum(one.height for one in looked), sum(one.height for one in some)
        names = [f"{BYTES}.{name}" for name in stored]
        nbytes = sum(int(one.select(names).sum_horizontal().sum()) for one in some if names)
    return Explanation(
        table=table,
        version=pinned.version,
        files_read=len(parts),
        files=pinned.files.height,
        bytes_read=nbytes,
        bytes=int(pinned.files["size_bytes"].sum()),
        row_groups_read=read,
        row_groups=groups,
        columns_read=tuple(stored),
        filters=tuple(_filters(where, pinned)),
        partitions={
            name: tuple(f[f"partition.{name}"].n_unique() for f in (kept, pinned.files))  # type: ignore[misc]
            for name in pinned.partition_by
        },
    )


def _kept(
    groups: pl.DataFrame, where: Mapping[str, Any] | None, schema: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    return groups if where is None else groups.filter(may_match(where, groups, schema, exact=True))


def _filters(where: Mapping[str, Any] | None, pinned: Pinned) -> Iterator[Filter]:
    if where is None:
        return
    for node in _conjuncts(where["expr"]):
        one = {"version": where["version"], "expr": node}
        left = pinned.files.filter(may_match(one, pinned.files, pinned.schema)).height
        yield Filter(str(decode(one)), pinned.files.height - left)


def _conjuncts(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if node.get("op") != "and":
        yield node
        return
    for arg in node["args"]:
        yield from _conjuncts(arg)


def columns_of(where: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The columns that an encoded filter reads."""
    return () if where is None else root_columns(where)
