"""The fused function of a write: read a part, judge its rows, write them, tell what was written."""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from raypipe.core.errors import ConfigError, EmptySourceError, LakeAccessError
from raypipe.core.uris import is_local
from raypipe.lake.log.stats import delta_stats
from raypipe.lake.log.written import WrittenFile
from raypipe.lake.quality.expect import Expectation, Split, apply
from raypipe.lake.quality.figures import Measures, measure
from raypipe.lake.quality.masks import Mask, as_text
from raypipe.lake.quality.masks import apply as masked
from raypipe.lake.quality.tags import guarded
from raypipe.lake.schema.dtypes import conform
from raypipe.lake.storage.store import open_store, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.write.sources import SourcePart

REASONS, BATCH = "_reasons", "_batch"
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
_LONGEST_FOLDER = 255  # bytes of one name in a path, on every common file system
_DIGITS = 8  # of a part's number: the files of one commit are read in the order of their names


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """What every part of one attempt to write needs to know; it pickles.

    Attributes:
        folder: the table's folder or URI.
        quarantine_folder: the same of its quarantine table.
        storage_options: of the object store; a secret, so no ``repr`` shows them.
        spec: the table's columns, partitions and properties.
        expect: the expectations.
        attempt: unique to this attempt, so that two writers never touch each other's files, and
            the same for a part that runs twice, so that it replaces its own.
        batch: the value of ``_batch`` in quarantined rows.
        quarantine_prefix: how names of this batch's quarantine files start.
        allow_empty: whether a part without a row is fine.
        masks: how columns with personal data are masked, with their keys.
        measured: the columns that parts measure for figures of the whole.
    """

    folder: str
    quarantine_folder: str
    storage_options: Mapping[str, str] | None = field(repr=False)
    spec: TableSpec
    expect: tuple[Expectation, ...]
    attempt: str
    batch: str
    quarantine_prefix: str
    allow_empty: bool
    masks: Mapping[str, Mask] = field(default_factory=dict, repr=False)
    measured: tuple[str, ...] = ()

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The table's columns and types."""
        return self.spec.types

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The partition columns."""
        return self.spec.partition_by


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part came to. ``broken`` counts rows by expectation, in their order."""

    source: str
    rows_in: int
    rows: int
    quarantined: int
    dropped: int
    broken: tuple[int, ...]
    files: tuple[WrittenFile, ...]
    quarantine_files: tuple[WrittenFile, ...]
    measures: Measures = field(default_factory=Measures)


def judge(job: WriteJob, part: SourcePart) -> Split:
    """Reads a part, brings it to the table's types, judges its rows, and masks what is to be kept.

    Raises:
        EmptySourceError: the part has no row, and the job does not allow that.
    """
    return guarded(job.masks, part.label, lambda: _judge(job, part))


def _judge(job: WriteJob, part: SourcePart) -> Split:
    frame = as_text(part.read(job.schema), job.masks)
    if frame.height == 0:
        if not job.allow_empty:
            raise EmptySourceError(
                "a source holds no row", part.label, "Leave it out, or pass allow_empty=True."
            )
        # A header alone says nothing of types, and an empty file not even of columns.
        frame = pl.DataFrame(schema=dict(job.schema))
    split = apply(conform(frame, job.schema, part.label), job.expect, part.label)
    return replace(
        split,
        kept=masked(split.kept, job.masks),
        quarantined=masked(split.quarantined, job.masks),
    )


def write_part(job: WriteJob, numbered: tuple[int, SourcePart]) -> PartResult:
    """Runs in a worker or here: one part from its source to its files.

    Nothing is written when a row breaks an expectation that fails the whole write.
    """
    number, part = numbered
    split = judge(job, part)
    result = write_refused(job, number, part.label, split)
    if not split.kept.height or fatal(job, split):
        return result
    return replace(result, files=write_rows(job, split.kept, part_name(job, number)))


def fatal(job: WriteJob, split: Split) -> bool:
    """Whether a row breaks an expectation that fails the whole write."""
    return any(n and e.on_fail == "fail" for n, e in zip(split.broken, job.expect, strict=False))


def part_name(job: WriteJob, number: int) -> str:
    """What the names of a part's files have in common."""
    return f"{job.attempt}-{number:0{_DIGITS}d}"


def write_refused(job: WriteJob, number: int, source: str, split: Split) -> PartResult:
    """Writes the quarantined rows of a judged part, and counts all of them."""
    quarantined = split.quarantined.height
    bad: tuple[WrittenFile, ...] = ()
    if quarantined and not fatal(job, split):
        rows = split.quarantined.with_columns(pl.lit(job.batch).alias(BATCH))
        target = f"{job.quarantine_prefix}{part_name(job, number)}.parquet"
        bad = (write_file(job, job.quarantine_folder, rows, target, ()),)
    rows_in = split.kept.height + quarantined + split.dropped
    return PartResult(
        source=source,
        rows_in=rows_in,
        rows=split.kept.height,
        quarantined=quarantined,
        dropped=split.dropped,
        broken=split.broken,
        files=(),
        quarantine_files=bad,
        measures=measure(split.kept, job.measured),
    )


def write_rows(job: WriteJob, frame: pl.DataFrame, name: str) -> tuple[WrittenFile, ...]:
    """Writes rows of the table as files ``…part-<name>…``, one or more for each partition."""
    return tuple(_write(job, job.folder, frame, name))


def _write(job: WriteJob, folder: str, frame: pl.DataFrame, name: str) -> Iterator[WrittenFile]:
    if not job.partition_by:
        yield write_file(job, folder, frame, f"part-{name}.parquet", ())
        return
    groups = frame.partition_by(list(job.partition_by), as_dict=True, include_key=False)
    for key, rows in groups.items():
        values = tuple(
            (column, partition_text(value, job.schema[column]))
            for column, value in zip(job.partition_by, key, strict=True)
        )
        place = "/".join(_folder(column, value) for column, value in values)
        yield write_file(job, folder, rows, f"{place}/part-{name}.parquet", values)


def _folder(column: str, value: str | None) -> str:
    name = f"{column}={_NULL_FOLDER if value is None else quote(value, safe=' ')}"
    size = len(name.encode())
    if size > _LONGEST_FOLDER:
        raise ConfigError(
            f"a value of partition column {column!r} is too long to name a folder",
            f"{size} bytes, where {_LONGEST_FOLDER} are the most",
            "Shorten it before writing, or do not partition by this column.",
            "partition_by",
        )
    return name


def partition_text(value: Any, dtype: pl.DataType) -> str | None:
    """A partition value as the Delta protocol spells it.

    Raises:
        ConfigError: an empty string, which Delta cannot tell from null, or the name that stands
            for null in a path.
    """
    if value is None:
        return None
    if value == "":
        raise ConfigError(
            "a partition value is an empty string, which a Delta table keeps as null",
            None,
            "Replace it before writing, or do not partition by this column.",
            "partition_by",
        )
    if value == _NULL_FOLDER:
        raise ConfigError(
            "a partition value is the name that stands for null in a path",
            value,
            "Replace it before writing, or do not partition by this column.",
            "partition_by",
        )
    if isinstance(dtype, pl.Datetime):
        return f"{value:%Y-%m-%d %H:%M:%S.%f}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_file(
    job: WriteJob,
    folder: str,
    frame: pl.DataFrame,
    path: str,
    partition: tuple[tuple[str, str | None], ...],
) -> WrittenFile:
    """Writes one file of a table's folder, in the place of one of this name."""
    if is_local(folder):
        size = _write_local(Path(folder) / path, frame)
    else:
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=True)
        data = buffer.getvalue()
        open_store(folder, job.storage_options).put(path, data)
        size = len(data)
    return WrittenFile(path, size, delta_stats(frame), partition)


def _write_local(target: Path, frame: pl.DataFrame) -> int:
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(temporary, compression="zstd", statistics=True)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        temporary.replace(target)
        sync_folder(target.parent)
    except (OSError, pl.exceptions.PolarsError) as error:  # polars says of a full disk what it is
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise LakeAccessError(
            f"a file of the table cannot be written ({reason})", str(target)
        ) from error
    finally:  # also on Ctrl-C; gone already when all went well
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return size
