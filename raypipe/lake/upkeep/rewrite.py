"""One part of a compaction: the rows of some files, written as fewer files."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raypipe.core.errors import LakeError
from raypipe.lake.log.entry import partition_text
from raypipe.lake.log.stats import delta_stats
from raypipe.lake.log.written import WrittenFile
from raypipe.lake.read.broken import reading
from raypipe.lake.read.part import scan
from raypipe.lake.storage.store import open_store
from raypipe.lake.upkeep.zorder import z_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from raypipe.lake.read.part import LakePart

_GROUP_ROWS = 131_072
"""Rows of a row group: a reader leaves out those whose statistics rule a match out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteJob:
    """What every part of one compaction needs to know; it pickles.

    Attributes:
        folder: the table's folder or URI.
        storage_options: of the object store; a secret, so no ``repr`` shows them.
        attempt: unique to the compaction.
        target_bytes: how large a file should become.
        sort_by: columns by which the rows of each file are sorted.
        z_order: columns along whose Z-curve the rows are laid; empty: they stay as they are.
    """

    folder: str
    storage_options: Mapping[str, str] | None = field(repr=False)
    attempt: str
    target_bytes: int
    sort_by: tuple[str, ...] = ()
    z_order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What one part reads and where it writes.

    Attributes:
        number: of the part.
        parts: the files, in reading order.
        paths: of the files in the table's folder, as they are on disk.
        target: where the one new file goes; for a Z-order, the folder of several.
        stamp: which place in reading order the new file takes; None: that of its commit.
    """

    number: int
    parts: tuple[LakePart, ...]
    paths: tuple[str, ...]
    target: str
    stamp: int | None


def rewrite(job: RewriteJob, one: Rewrite) -> tuple[WrittenFile, ...]:
    """Runs in a worker or here; a second run replaces the files of the first.

    Raises:
        LakeError: a file is gone, cut short or spoilt, or has not the rows that the log says.
        LakeAccessError: a file cannot be written.
    """
    first = one.parts[0]
    frame = reading(one.parts, scan(one.parts).collect)
    wanted = sum(part.rows for part in one.parts)
    if frame.height != wanted:
        raise LakeError(
            f"files of table {first.table!r} have not the rows that its log says",
            f"{frame.height} rows, not {wanted}",
            "Nothing was changed. Look at them one by one, or bring them back from a copy.",
        )
    if job.z_order:
        frame = z_order(frame, job.z_order)
    elif job.sort_by:
        frame = frame.sort(job.sort_by, maintain_order=True)
    frame = frame.drop(list(first.partition))
    values = tuple((name, partition_text(value)) for name, value in first.partition.items())
    if not job.z_order:
        return (_written(job, frame, one.target, values, one.stamp),)
    size = sum(part.nbytes for part in one.parts)
    count = max(1, min(frame.height, -(-size // job.target_bytes)))
    rows = -(-frame.height // count) or 1
    return tuple(
        _written(
            job,
            frame[start : start + rows],
            f"{one.target}part-{job.attempt}-{one.number:08d}-{index:04d}.parquet",
            values,
            None,
        )
        for index, start in enumerate(range(0, max(1, frame.height), rows))
    )


def _written(
    job: RewriteJob,
    frame: pl.DataFrame,
    path: str,
    partition: tuple[tuple[str, str | None], ...],
    stamp: int | None,
) -> WrittenFile:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True, row_group_size=_GROUP_ROWS)
    data = buffer.getvalue()
    open_store(job.folder, job.storage_options).put(path, data)
    return WrittenFile(path, len(data), delta_stats(frame), partition, stamp)
