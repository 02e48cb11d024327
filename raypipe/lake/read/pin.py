"""What the log tells of one version of a table, once it is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import LakeError
from raypipe.lake.log.prune import DELETED
from raypipe.lake.log.readable import MODE, PHYSICAL
from raypipe.lake.read.broken import damaged
from raypipe.lake.read.part import place
from raypipe.lake.schema.spec import TableSpec, spec_of
from raypipe.lake.storage.keys import for_polars
from raypipe.lake.storage.patience import waited

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from raypipe.lake.log.table_log import TableLog

_TEXT = {"path": pl.String, "size_bytes": pl.Int64, "modification_time": pl.Int64}


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the log tells of one version.

    Attributes:
        version: the version.
        spec: columns, partitions and properties.
        files: one row for each file with its statistics, in the order in which they are read:
            that of their commits, then that of their paths. Statistics stand under the columns'
            own names; ``deleted`` counts the rows that a deletion vector takes out of the file.
        deleted: positions of those rows by the file's path, ascending.
        physical: names of the columns in the files, where they differ from those of the table.
    """

    version: int
    spec: TableSpec
    files: pl.DataFrame
    deleted: Mapping[str, pl.Series] = field(default_factory=dict)
    physical: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Columns and types, in order."""
        return self.spec.types

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The partition columns."""
        return self.spec.partition_by


def pin(log: TableLog, version: int | None) -> Pinned:
    """Reads the log at a version, the newest one by default.

    Raises:
        TableNotFoundError: there is no table.
        VersionNotFoundError: the table has no such version.
        LakeError: it uses a feature that would be read wrongly here.
    """
    if version is not None:
        table = log.open(version)
        with log.guarded():
            return _pinned(log, table)
    with log.newest() as table:
        return _pinned(log, table)


def _pinned(log: TableLog, table: Any) -> Pinned:
    spec = spec_of(table)
    physical = {
        name: str(column.metadata[PHYSICAL])
        for name, column in spec.columns.items()
        if spec.properties.get(MODE) == "name" and column.metadata.get(PHYSICAL, name) != name
    }
    number = int(table.version())
    files = _plain(pl.DataFrame(table.get_add_actions()), spec, physical)
    files = _with_counts(log, number, files).sort("modification_time", "path")
    deleted = dict(_deletions(table, files))
    counts = {path: len(rows) for path, rows in deleted.items()}
    gone = pl.col("path").replace_strict(counts, default=0, return_dtype=pl.Int64)
    files = files.with_columns(
        gone.alias(DELETED) if counts else pl.lit(0, pl.Int64).alias(DELETED)
    )
    return Pinned(number, spec, files, deleted, physical)


def _plain(files: pl.DataFrame, spec: TableSpec, physical: Mapping[str, str]) -> pl.DataFrame:
    """One column for each fact. The log's own flat form would mix up ``a.b`` and field b of a."""
    out = [files[name].cast(dtype) for name, dtype in _TEXT.items()]
    counts = files["num_records"] if "num_records" in files.columns else None
    out.append(
        pl.Series("num_records", [None] * files.height, dtype=pl.Int64)
        if counts is None
        else counts.cast(pl.Int64)
    )
    inside = {group: _fields(files, group) for group in ("partition", "null_count", "min", "max")}
    for name, dtype in spec.types.items():
        if name in spec.partition_by:
            value = inside["partition"].get(name)
            if value is None and files.height:
                raise LakeError("the log does not tell the values of a partition column", name)
            value = pl.Series([], dtype=dtype) if value is None else value.cast(dtype)
            out.append(value.alias(f"partition.{name}"))
            continue
        if dtype.is_nested():
            continue
        for fact in ("null_count", "min", "max"):
            column = inside[fact].get(physical.get(name, name))
            if column is not None:
                out.append(column.alias(f"{fact}.{name}"))
    return pl.DataFrame(out)


def _fields(files: pl.DataFrame, group: str) -> Mapping[str, pl.Series]:
    if group not in files.columns or not isinstance(files.schema[group], pl.Struct):
        return {}
    return {column.name: column for column in files[group].struct.unnest()}


def _with_counts(log: TableLog, version: int, files: pl.DataFrame) -> pl.DataFrame:
    """Row counts from the files' footers where another engine left them out of the log."""
    if files["num_records"].null_count() == 0:
        return files
    counts = [
        count if count is not None else _footer_count(log, version, path)
        for path, count in files.select("path", "num_records").iter_rows()
    ]
    return files.with_columns(pl.Series("num_records", counts, dtype=pl.Int64))


def _footer_count(log: TableLog, version: int, path: str) -> int:
    uri = place(log.uri, path)
    try:
        scan = pl.scan_parquet(uri, storage_options=for_polars(log.options), glob=False)
        return int(waited(scan.select(pl.len()).collect, uri, log.options).item())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(log.name, version, uri, error) from error


def _deletions(table: Any, files: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """Positions of the deleted rows, for the files that have a deletion vector."""
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return
    known = set(files["path"])
    masks = pl.DataFrame(table.deletion_vectors())
    for uri, kept in zip(masks["filepath"], masks["selection_vector"], strict=True):
        path = _relative(str(uri), known)
        if path is None:
            raise LakeError("a deletion vector belongs to no file of the table", str(uri))
        yield path, (~kept).arg_true().alias(DELETED)


def _relative(uri: str, known: set[str]) -> str | None:
    """The path in the log whose file this is: the longest end of the URI that is one."""
    if uri in known:
        return uri
    parts = uri.split("/")
    ends = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((end for end in ends if end in known), None)
