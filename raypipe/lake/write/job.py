"""From data to files that lie in a table's folder, not yet in its log."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import EmptySourceError, ExpectationError, SchemaError
from raypipe.core.uris import is_local
from raypipe.engine.parts import Place, RunOn, choose_place, run_parts
from raypipe.lake.outcome import Outcome, Report
from raypipe.lake.quality.expect import Expectation
from raypipe.lake.quality.figures import measure
from raypipe.lake.schema.dtypes import merge_types, table_type
from raypipe.lake.storage.store import open_store
from raypipe.lake.write.fused import PartResult, Transform, WriteJob, judge, transformed, write_part
from raypipe.lake.write.readers import meet_of_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.quality.base import Rule
    from raypipe.lake.write.sources import Source, SourcePart, Types

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tally:
    """All parts of a job together.

    Attributes:
        results: what each came to.
        outcomes: of the rules about the whole, by name; those that were not judged are missing.
    """

    results: tuple[PartResult, ...]
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    def _sum(self, name: str) -> int:
        return sum(getattr(result, name) for result in self.results)

    @property
    def files(self) -> tuple[WrittenFile, ...]:
        """The table's new files."""
        return tuple(file for result in self.results for file in result.files)

    @property
    def quarantine_files(self) -> tuple[WrittenFile, ...]:
        """The quarantine table's new files."""
        return tuple(file for result in self.results for file in result.quarantine_files)

    def report(self, rules: Sequence[Rule]) -> Report:
        """Counts of rows, and what each rule came to, in their order."""
        rows_in = self._sum("rows_in")
        counts = zip(*(result.broken for result in self.results), strict=True)
        found: list[Outcome] = []
        for rule in rules:
            if isinstance(rule, Expectation):
                broken = sum(next(counts, ()))
                found.append(Outcome(rule.name, rule.on_fail, broken, rows_in))
            elif rule.name in self.outcomes:
                found.append(self.outcomes[rule.name])
        return Report(
            rows_in,
            self._sum("rows"),
            self._sum("quarantined"),
            self._sum("dropped"),
            tuple(found),
        )


def place_of(source: Source, run_on: RunOn) -> Place:
    """Where the parts of a source run; blocks of a dataset are read where they lie."""
    if source.on_ray:
        return "ray"
    return choose_place(run_on, len(source.parts), source.nbytes).place


def _types_of(part: SourcePart) -> Types:
    return part.types()


def infer_schema(
    source: Source,
    run_on: RunOn,
    transform: Transform | None = None,
    known: Types | None = None,
) -> dict[str, pl.DataType]:
    """The schema that a first write gives a table.

    With ``known`` columns it tells the others only, which a part may have or not.

    Raises:
        SchemaError: the parts do not agree, or a table cannot hold a type.
        EmptySourceError: nothing tells the columns.
    """
    found = run_parts(_types_of, source.parts, run_on=place_of(source, run_on))
    return types_together(source, found, transform, known)


def types_together(
    source: Source,
    found: Sequence[Types],
    transform: Transform | None = None,
    known: Types | None = None,
) -> dict[str, pl.DataType]:
    """The schema of a first write from the types of every part; see ``infer_schema``."""
    merged: dict[str, pl.DataType] = {}
    first: SourcePart | None = None
    for part, numbers in source.files():
        types = found[numbers[0]]
        if len(numbers) > 1:
            types = meet_of_pieces(part.label, [found[n] for n in numbers])
        if not types:
            continue
        if transform is not None:
            empty = pl.LazyFrame(schema=dict(types))
            types = dict(transformed(transform, empty, part.label).collect_schema())
        if first is None:
            first = part
            merged = {n: t for n, t in types.items() if known is None or n not in known}
            continue
        try:
            if known is None:
                merged = merge_types(merged, types, (first.label, part.label))
            else:  # other columns than the known ones may be in some parts only
                new = {n: t for n, t in types.items() if n not in known}
                both = {n: t for n, t in new.items() if n in merged}
                had = {n: merged[n] for n in both}
                merged |= new | merge_types(had, both, (first.label, part.label))
        except SchemaError as clash:
            raise _pointed(clash, merged, types, first, part) from None
    if first is None:
        if known is not None:
            return {}
        raise EmptySourceError(
            "nothing tells the columns of the new table",
            source.parts[0].label if source.parts else "no part",
            "Write a batch with rows first.",
        )
    return {name: table_type(dtype, name, first.label) for name, dtype in merged.items()}


def _pointed(
    clash: SchemaError, left: Types, right: Types, first: SourcePart, second: SourcePart
) -> SchemaError:
    """The error about two types, with the first value that is not of the other one's type."""
    name = clash.field
    for part, types in ((second, left), (first, right)):
        if name is None or name not in left or name not in right:
            break
        try:
            part.read({name: types[name]})
        except SchemaError as found:
            value = (found.got or "").partition("with ")[2]
            if value:
                got = f"{clash.got} ({value} of {part.label})"
                return SchemaError(clash.what, got, clash.act, name)
    return clash


def run_job(source: Source, job: WriteJob, run_on: RunOn) -> Tally:
    """Writes the files of every part.

    Raises:
        ExpectationError: rows broke an expectation whose ``on_fail`` is ``"fail"``.
        SchemaError, SourceError: a part cannot be read or does not fit.
    """
    place = place_of(source, run_on)
    results = run_parts(partial(write_part, job), list(enumerate(source.parts)), run_on=place)
    return settle(results, job)


def settle(results: Sequence[PartResult], job: WriteJob) -> Tally:
    """All parts together, unless rows broke an expectation that fails the write.

    Raises:
        ExpectationError: they did.
    """
    for index, one in enumerate(job.expect):
        counts = [(result.source, result.broken[index]) for result in results]
        total = sum(count for _, count in counts)
        if not total:
            continue
        worst = max(counts, key=lambda c: c[1])[0]
        if one.on_fail == "fail":
            raise ExpectationError(
                f"expectation {one.name!r} does not hold",
                f"{total} rows that break it, most in {worst}",
                "Nothing was committed. Correct the data, or choose another on_fail.",
                one.columns[0] if one.columns else None,
            )
        if one.on_fail == "warn":
            logger.warning("%d rows break expectation %r, most in %s", total, one.name, worst)
    return Tally(tuple(results))


def _judge(job: WriteJob, part: SourcePart) -> PartResult:
    split = judge(job, part)
    bad = split.quarantined.height
    rows_in = split.kept.height + bad + split.dropped
    return PartResult(
        part.label,
        rows_in,
        split.kept.height,
        bad,
        split.dropped,
        split.broken,
        (),
        (),
        measure(split.kept, job.measured),
    )


def judge_job(source: Source, job: WriteJob, run_on: RunOn) -> tuple[PartResult, ...]:
    """Judges every part row by row and writes nothing."""
    return tuple(run_parts(partial(_judge, job), source.parts, run_on=place_of(source, run_on)))


def clean_up(job: WriteJob, tally: Tally | None = None, *, quarantine: bool = True) -> None:
    """Removes the files of an attempt that was not committed, as far as possible.

    What cannot be removed now is not in any log, so no reader sees it; a vacuum takes it later.

    Args:
        job: the attempt.
        tally: what it wrote; without it, as after a write that broke off, the folders are searched.
        quarantine: whether the quarantine table's files go too.
    """
    written = (None, None) if tally is None else (tally.files, tally.quarantine_files)
    folders = (job.folder, job.quarantine_folder)[: 1 + quarantine]
    for folder, files in zip(folders, written, strict=False):
        try:
            store = open_store(folder, job.storage_options)
            if files is None:
                store.delete(path for path in store.files("") if job.attempt in path)
            else:
                store.delete(file.path for file in files)
            if is_local(folder):
                with contextlib.suppress(OSError):  # it is in use, or was never made
                    Path(folder).rmdir()
        except OSError as error:  # LakeAccessError is one
            logger.warning("files of a failed write stay in %s: %s", folder, error)
