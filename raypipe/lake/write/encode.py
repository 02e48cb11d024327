"""Rows into Parquet files of a table: sorted, cut near the target size, with statistics."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from raypipe.core.errors import LakeAccessError
from raypipe.core.faults import fault_point
from raypipe.core.uris import is_local
from raypipe.lake.log.stats import delta_stats
from raypipe.lake.log.written import WrittenFile
from raypipe.lake.storage.store import make_folder, open_store
from raypipe.lake.write.partitions import partition_folder, partition_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.storage.store import Store

_ZSTD_LEVEL = 1
"""Level 3 makes these files an eighth smaller and takes 1.6 times as long to write."""

_GROUP_BYTES = 8 * 2**20
# Below 100,000 rows polars soon sees that a column of nearly unique values needs no dictionary: a
# fifth less work than with groups of 400,000 rows, and the files are no larger.
_GROUP_ROWS = (16_384, 98_304)
_IN_MEMORY_BYTES = 16 * 2**20
"""Rows of more bytes than this go to an object store by way of a file, in parts."""

_USUAL_SHRINKAGE = 3.0  # bytes in memory to bytes in a file; the first piece tells the true one
_SLACK = 1.25  # a file may be this much above the target: better than one large and one tiny file


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder of files, and what its files have in common; it pickles.

    Attributes:
        folder: the table's folder or URI.
        storage_options: of the object store; a secret, so no ``repr`` shows them.
        partition_by: the partition columns.
        sort_by: the columns by which the rows of a file are sorted, nulls first.
        target_bytes: how large a file should become.
    """

    folder: str
    storage_options: Mapping[str, str] | None = field(repr=False)
    partition_by: tuple[str, ...] = ()
    sort_by: tuple[str, ...] = ()
    target_bytes: int = 256 * 2**20

    @classmethod
    def of(cls, folder: str, options: Mapping[str, str] | None, spec: TableSpec) -> Place:
        """The place of a table's own files."""
        return cls(
            folder=folder,
            storage_options=options,
            partition_by=spec.partition_by,
            sort_by=spec.sort_by,
            target_bytes=spec.target_file_bytes,
        )


def write_frame(place: Place, frame: pl.DataFrame, name: str) -> tuple[WrittenFile, ...]:
    """Writes rows as ``<name>.parquet``, or ``<name>-0000.parquet`` and so on where one file would
    be too large; in a folder of its own for each combination of partition values.

    The same rows under the same name give the same files, each written whole or not at all.

    Raises:
        LakeAccessError: a file cannot be written.
        ConfigError: a partition value cannot be one.
    """
    if not place.partition_by:
        return tuple(_cut(place, frame, name, ()))
    groups = frame.partition_by(
        list(place.partition_by), as_dict=True, include_key=False, maintain_order=True
    )
    files: list[WrittenFile] = []
    for key, rows in groups.items():
        values = tuple(
            (column, partition_text(value, frame.schema[column]))
            for column, value in zip(place.partition_by, key, strict=True)
        )
        folder = "/".join(partition_folder(column, value) for column, value in values)
        files.extend(_cut(place, rows, f"{folder}/{name}", values))
    return tuple(files)


def _cut(
    place: Place, frame: pl.DataFrame, name: str, values: tuple[tuple[str, str | None], ...]
) -> Iterator[WrittenFile]:
    by = [column for column in place.sort_by if column in frame.columns]
    if by:
        frame = frame.sort(by, maintain_order=True)
    size = max(1, frame.estimated_size())
    rows = rows_of_piece(frame.height, size / _USUAL_SHRINKAGE, place.target_bytes)
    if rows >= frame.height:
        yield write_file(place, frame, f"{name}.parquet", values)
        return
    begin = number = 0
    while begin < frame.height:
        piece = frame.slice(begin, rows)
        done = write_file(place, piece, f"{name}-{number:04d}.parquet", values)
        yield done
        begin, number = begin + piece.height, number + 1
        left = frame.height - begin
        # What the last piece came to tells how many rows the next one takes.
        rows = rows_of_piece(left, done.size_bytes / piece.height * left, place.target_bytes)


def rows_of_piece(rows: int, nbytes: float, target_bytes: int) -> int:
    """How many of the rows the next file takes, when all of them would make ``nbytes``."""
    if nbytes <= target_bytes * _SLACK:
        return max(1, rows)
    return max(1, min(rows, int(rows * target_bytes / nbytes)))


def row_group_rows(rows: int, nbytes: int) -> int:
    """Rows of a row group: few, so that a reader can leave out those without a row it wants."""
    low, high = _GROUP_ROWS
    return max(low, min(high, int(_GROUP_BYTES * max(rows, 1) / max(nbytes, 1))))


def write_file(
    place: Place, frame: pl.DataFrame, path: str, values: tuple[tuple[str, str | None], ...] = ()
) -> WrittenFile:
    """Writes one file of a folder as the rows stand, in the place of one of this name.

    Raises:
        LakeAccessError: it cannot be written.
    """
    if is_local(place.folder):
        size, footer = _write_local(Path(place.folder) / path, frame)
    else:
        store = open_store(place.folder, place.storage_options)
        large = frame.estimated_size() > _IN_MEMORY_BYTES
        size, footer = (_upload if large else _put)(store, path, frame)
    return WrittenFile(path, size, delta_stats(frame, footer), values)


def _put(store: Store, path: str, frame: pl.DataFrame) -> tuple[int, pq.FileMetaData]:
    buffer = io.BytesIO()
    _encode(frame, buffer)
    data = buffer.getvalue()
    store.put(path, data)
    return len(data), pq.read_metadata(buffer)


def _upload(store: Store, path: str, frame: pl.DataFrame) -> tuple[int, pq.FileMetaData]:
    """Sends rows by way of a temporary file: in memory they would be a second time."""
    with tempfile.TemporaryDirectory(prefix="raypipe-") as folder:
        whole = Path(folder) / "part.parquet"
        try:
            _encode(frame, whole)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise LakeAccessError(
                f"a file of the table cannot be made ready to be sent ({_reason(error)})",
                folder,
                "Give the folder of temporary files (TMPDIR) more room.",
            ) from error
        return store.upload(path, whole), pq.read_metadata(whole)


def _reason(error: Exception) -> str:
    return str((getattr(error, "strerror", None) or str(error)).splitlines()[0])


def _encode(frame: pl.DataFrame, target: Path | io.BytesIO) -> None:
    frame.write_parquet(
        target,
        compression="zstd",
        compression_level=_ZSTD_LEVEL,
        statistics=True,
        row_group_size=row_group_rows(frame.height, int(frame.estimated_size())),
    )


def _write_local(target: Path, frame: pl.DataFrame) -> tuple[int, pq.FileMetaData]:
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        make_folder(target.parent)
        _encode(frame, temporary)
        fault_point("lake:mid-file")
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        footer = pq.read_metadata(temporary)
        temporary.replace(target)  # the commit forces the folder to disk, once for all its files
    except (OSError, pl.exceptions.PolarsError) as error:  # polars says of a full disk what it is
        raise LakeAccessError(
            f"a file of the table cannot be written ({_reason(error)})", str(target)
        ) from error
    finally:  # also on Ctrl-C; gone already when all went well
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return size, footer
