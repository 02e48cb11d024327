"""The fused function of a write: read a part, judge its rows, write them, tell what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import ConfigError, EmptySourceError, SchemaError
from raypipe.core.faults import fault_point
from raypipe.lake.quality.expect import Expectation, Split, apply
from raypipe.lake.quality.figures import Measures, measure
from raypipe.lake.quality.masks import Mask, as_text
from raypipe.lake.quality.masks import apply as masked
from raypipe.lake.quality.tags import guarded
from raypipe.lake.schema.rules import fill_generated, generated, obey
from raypipe.lake.write.encode import Place, write_frame
from raypipe.lake.write.fit import fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.options import Evolve
    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.write.sources import SourcePart

Transform = Callable[[pl.LazyFrame], pl.LazyFrame]
REASONS, BATCH = "_reasons", "_batch"
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
        hashed: the columns that come hashed already, from a table with the same key.
        measured: the columns that parts measure for figures of the whole.
        transform: what is made of the rows of each part before anything else looks at them.
        evolve: what happens to rows whose columns or types are not the table's.
        before: the table as it is, when ``spec`` is what it becomes by this write.
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
    hashed: frozenset[str] = frozenset()
    measured: tuple[str, ...] = ()
    transform: Transform | None = None
    evolve: Evolve = "fail"
    before: TableSpec | None = None

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The table's columns and types."""
        return self.spec.types

    @property
    def to_mask(self) -> Mapping[str, Mask]:
        """The masks of what is still to be masked."""
        return {name: mask for name, mask in self.masks.items() if name not in self.hashed}

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
        SchemaError: its rows, or what the transform makes of them, do not fit the table.
    """
    return guarded(job.masks, part.label, lambda: _judge(job, part))


def _judge(job: WriteJob, part: SourcePart) -> Split:
    frame = as_text(_read(job, part), job.to_mask)
    if frame.height == 0 and (job.transform is None or part.is_empty()):
        if not job.allow_empty:
            raise EmptySourceError(
                "a source holds no row", part.label, "Leave it out, or pass allow_empty=True."
            )
        # A header alone says nothing of types, and an empty file not even of columns.
        frame = pl.DataFrame(schema=dict(job.schema))
    left_out = [n for n in generated(job.spec) if n not in frame.columns]
    given = {n: dtype for n, dtype in job.schema.items() if n not in left_out}
    rows, misfits = fit(job, frame, given, part.label)
    split = apply(fill_generated(rows, job.spec), job.expect, part.label)
    kept = masked(split.kept, job.to_mask)
    obey(kept, job.spec, part.label)  # what the table's log asks of rows as they are stored
    quarantined = masked(split.quarantined, job.to_mask)
    if misfits is not None:
        quarantined = pl.concat([quarantined, misfits], how="diagonal")
    return replace(split, kept=kept, quarantined=quarantined)


def _read(job: WriteJob, part: SourcePart) -> pl.DataFrame:
    """The part's rows after the transform, which polars pushes into the reading of the file."""
    if job.transform is None:
        if job.evolve != "quarantine":
            return part.read(job.schema)
        # A text that is no value of its column is to be set aside, and no error of the whole file.
        return part.read({n: t for n, t in job.schema.items() if isinstance(t, pl.String)})
    rows = transformed(job.transform, part.lazy(), part.label)
    try:
        return rows.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        part.read(None)  # if the source itself is at fault, this says so
        raise _unfit(part.label, error) from error


def transformed(transform: Transform, rows: pl.LazyFrame, label: str) -> pl.LazyFrame:
    """What a transform makes of rows, not computed yet.

    Raises:
        ConfigError: it gives no LazyFrame.
        SchemaError: it needs other columns or types.
    """
    try:
        made: object = transform(rows)
        if not isinstance(made, pl.LazyFrame):
            raise ConfigError(
                "a transform gives a polars LazyFrame", type(made).__name__, None, "transform"
            )
        made.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unfit(label, error) from error
    return made


def _unfit(label: str, error: BaseException) -> SchemaError:
    reason = str(error).split("\n", 1)[0]
    return SchemaError(
        f"the transform cannot be applied to {label}", reason, "Nothing was written.", "transform"
    )


def write_part(job: WriteJob, numbered: tuple[int, SourcePart]) -> PartResult:
    """Runs in a worker or here: one part from its source to its files.

    Nothing is written when a row breaks an expectation that fails the whole write.
    """
    number, part = numbered
    split = judge(job, part)
    fault_point("lake:before-write")
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
        place = Place(folder=job.quarantine_folder, storage_options=job.storage_options)
        bad = write_frame(place, rows, f"{job.quarantine_prefix}{part_name(job, number)}")
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
    return write_frame(Place.of(job.folder, job.storage_options, job.spec), frame, f"part-{name}")
