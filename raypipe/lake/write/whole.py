"""What a write is judged by as a whole, once its parts have written: keys, and figures.

Rows that break a rule about keys leave the files they are in; files without such a row stay as
they are.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from functools import reduce
from operator import add, or_
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from raypipe.core.errors import ExpectationError
from raypipe.lake.log.partition import partition_value
from raypipe.lake.outcome import Outcome
from raypipe.lake.quality.expect import Expectation
from raypipe.lake.quality.figures import FigureRule, Measures, measure, measured_columns
from raypipe.lake.quality.figures import judge as judge_figure
from raypipe.lake.quality.key_search import Found, NewFile, distinct, missing, repeated, within
from raypipe.lake.quality.keys import ForeignKeyRule, UniqueRule, check_parent, parent_rows
from raypipe.lake.storage.store import locate, open_store
from raypipe.lake.write.encode import Place, write_file
from raypipe.lake.write.fused import BATCH, REASONS, judge
from raypipe.lake.write.job import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.quality.base import Rule
    from raypipe.lake.quality.key_search import KeyPart, NewPart, Pruned
    from raypipe.lake.write.fused import PartResult, WriteJob
    from raypipe.lake.write.sources import SourcePart

logger = logging.getLogger(__name__)


def _no_figure(name: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Beside:
    """What a write is judged beside.

    Attributes:
        version: the table's version that ``table`` reads; -1 when there is none.
        table: the table's parts that may hold a row of a filter; None when its rows do not count.
        previous: the figure that the write before came to, by the expectation's name.
    """

    version: int = -1
    table: Pruned | None = None
    previous: Callable[[str], Any] = _no_figure


@dataclass(frozen=True, slots=True)
class Whole:
    """A write that was judged as a whole.

    Attributes:
        tally: the parts with the files that remain, and what the rules came to.
        where: the keys that no other write may have added to the table since ``version``; None
            when no rule asks for that.
        everything: ``where`` cannot tell them apart: no other write at all.
        version: the table's version that was looked at.
    """

    tally: Tally
    where: pl.Expr | None = None
    everything: bool = False
    version: int = -1


def judge_whole(job: WriteJob, rules: Sequence[Rule], before: Tally, beside: Beside) -> Whole:
    """Judges keys, then figures. Rules about keys see what those before them left.

    What a tally was judged to before counts on: it is judged again when a rival came first.

    Raises:
        ExpectationError: one with ``on_fail="fail"`` does not hold.
        SchemaError: a foreign key's parent has no such column.
    """
    state = _State(job, before, beside)
    for rule in rules:
        if isinstance(rule, UniqueRule | ForeignKeyRule):
            state.judge_keys(rule)
    figures = [rule for rule in rules if isinstance(rule, FigureRule)]
    if figures:
        state.judge_figures(figures)
    where = reduce(or_, state.wheres) if state.wheres and not state.everything else None
    tally = replace(before, results=tuple(state.results), outcomes=state.outcomes)
    return Whole(tally, where, state.everything, beside.version)


class _State:
    def __init__(self, job: WriteJob, before: Tally, beside: Beside) -> None:
        self.job = job
        self.results = list(before.results)
        self.beside = beside
        self.before = before.outcomes
        self.outcomes: dict[str, Outcome] = {}
        self.wheres: list[pl.Expr] = []
        self.everything = False
        self.removed = any(
            one.failed and one.on_fail in ("drop", "quarantine") for one in self.before.values()
        )

    def files(self) -> list[tuple[int, WrittenFile]]:
        return [(i, file) for i, result in enumerate(self.results) for file in result.files]

    def judge_keys(self, rule: UniqueRule | ForeignKeyRule) -> None:
        files = self.files()
        parts = [new_file(self.job, file) for _, file in files]
        found = search(rule, parts, self.beside.table)
        if isinstance(rule, UniqueRule) and rule.within == "table" and parts:
            where = within(found.bounds)
            self.everything = self.everything or (where is None and found.read > 0)
            self.wheres += [] if where is None else [where]
        rows = sum(part.rows for part in parts)
        gone = 0  # rows that left when this was judged before
        if rule.on_fail in ("drop", "quarantine") and rule.name in self.before:
            gone = self.before[rule.name].failed
        count = found.count + gone
        self.outcomes[rule.name] = Outcome(rule.name, rule.on_fail, count, rows + gone)
        say(rule, found.count)
        if found.count and rule.on_fail in ("drop", "quarantine"):
            for index, numbers in found.rows.items():
                self.take_out(rule, *files[index], numbers)
            self.removed = True

    def take_out(self, rule: Rule, index: int, file: WrittenFile, numbers: pl.Series) -> None:
        job, result = self.job, self.results[index]
        frame = new_file(job, file).read()
        bad = _marked(frame.height, numbers)
        left = frame.filter(~bad)
        stored = left.drop([name for name, _ in file.partition])
        files = [one for one in result.files if one.path != file.path]
        if left.height:
            place = Place.of(job.folder, job.storage_options, job.spec)
            rewritten = write_file(place, stored, file.path, file.partition)
            files.insert(result.files.index(file), rewritten)
        else:
            open_store(job.folder, job.storage_options).delete([file.path])
        count = len(numbers)
        refused = result.quarantine_files
        if rule.on_fail == "quarantine":
            rows = frame.filter(bad).with_columns(
                pl.lit([rule.name], dtype=pl.List(pl.String)).alias(REASONS),
                pl.lit(job.batch).alias(BATCH),
            )
            name = f"{job.quarantine_prefix}{job.attempt}-keys-{index}-{len(refused)}.parquet"
            aside = Place(folder=job.quarantine_folder, storage_options=job.storage_options)
            refused = (*refused, write_file(aside, rows, name))
        counted = _counted(result, rule, count)
        self.results[index] = replace(counted, files=tuple(files), quarantine_files=refused)

    def judge_figures(self, rules: Sequence[FigureRule]) -> None:
        parts = [new_file(self.job, file) for _, file in self.files()]
        measures = [result.measures for result in self.results]
        if self.removed:  # what the parts measured is not what is left
            columns = list(measured_columns(rules))
            measures = [_measured(part, columns) for part in parts]
        self.outcomes |= figure_outcomes(rules, measures, parts, self.beside.previous)
        for rule in rules:
            say(rule, self.outcomes[rule.name].failed, self.outcomes[rule.name].note)


def check_whole(
    job: WriteJob,
    rules: Sequence[Rule],
    results: Sequence[PartResult],
    sources: Sequence[SourcePart],
    beside: Beside,
) -> Tally:
    """What ``judge_whole`` would come to, of parts that were judged but not written.

    Nothing is raised for a broken rule. Key columns are read from the sources once more.
    """
    parts: list[NewPart] = [
        _Judged(job, source, result.rows) for source, result in zip(sources, results, strict=True)
    ]
    counted, outcomes = list(results), dict[str, Outcome]()
    for rule in rules:
        if not isinstance(rule, UniqueRule | ForeignKeyRule):
            continue
        found = search(rule, parts, beside.table)
        rows = sum(part.rows for part in parts)
        outcomes[rule.name] = Outcome(rule.name, rule.on_fail, found.count, rows)
        if rule.on_fail in ("drop", "quarantine"):
            for index, numbers in found.rows.items():
                parts[index] = _Left(parts[index], numbers)
                counted[index] = _counted(counted[index], rule, len(numbers))
    figures = [rule for rule in rules if isinstance(rule, FigureRule)]
    if figures:
        columns = list(measured_columns(figures))
        gone = any(a is not b for a, b in zip(counted, results, strict=True))
        measures = (
            [_measured(part, columns) for part in parts]
            if gone
            else [result.measures for result in results]
        )
        outcomes |= figure_outcomes(figures, measures, parts, beside.previous)
    return Tally(tuple(counted), outcomes=outcomes)


def _measured(part: NewPart, columns: list[str]) -> Measures:
    # A frame without columns would have no rows to count.
    return measure(part.read(columns or [next(iter(part.schema))]), columns)


def _counted(result: PartResult, rule: Rule, count: int) -> PartResult:
    quarantined = rule.on_fail == "quarantine"
    return replace(
        result,
        rows=result.rows - count,
        quarantined=result.quarantined + count * quarantined,
        dropped=result.dropped + count * (not quarantined),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows of a source part that would be kept."""

    job: WriteJob
    source: SourcePart
    rows: int

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self.job.schema

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        kept = judge(self.job, self.source).kept
        return kept if columns is None else kept.select(columns)


@dataclass(frozen=True, slots=True)
class _Left:
    """A part without some of its rows."""

    part: NewPart
    gone: pl.Series

    @property
    def rows(self) -> int:
        return self.part.rows - len(self.gone)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self.part.schema

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        frame = self.part.read(columns)
        return frame.filter(~_marked(frame.height, self.gone))


def figure_outcomes(
    rules: Sequence[FigureRule],
    measures: Sequence[Measures],
    parts: Sequence[NewPart],
    previous: Callable[[str], Any],
) -> dict[str, Outcome]:
    """What each figure came to."""
    found: dict[str, Outcome] = {}
    merged = reduce(add, measures, Measures())
    for rule in rules:
        different = distinct(parts, rule.columns[0]) if rule.figure == "distinct" else None
        before = previous(rule.name) if rule.change is not None else None
        judged = judge_figure(rule, merged, different, before)
        found[rule.name] = Outcome(
            rule.name,
            rule.on_fail,
            int(not judged.holds),
            merged.rows,
            value=judged.value,
            low=rule.low,
            high=rule.high,
            note=judged.why,
            whole=True,
        )
    return found


def search(
    rule: UniqueRule | ForeignKeyRule, parts: Sequence[NewPart], table: Pruned | None
) -> Found:
    """The rows of a batch that break a rule about keys."""
    if isinstance(rule, UniqueRule):
        return repeated(parts, rule.columns, table if rule.within == "table" else None)
    parent = parent_rows(rule)
    if parts:
        check_parent(rule, parts[0].schema, parent)

    def pruned(where: pl.Expr | None) -> Sequence[KeyPart]:
        narrowed: Sequence[KeyPart] = (parent if where is None else parent.where(where)).parts()
        return narrowed

    return missing(parts, rule.columns, pruned, rule.parent_columns)


def say(rule: Rule, failed: int, note: str = "") -> None:
    """Raises or warns when a rule was broken.

    Raises:
        ExpectationError: its ``on_fail`` is ``"fail"``.
    """
    what = note or f"{failed} rows that break it"
    if failed and rule.on_fail == "fail":
        raise ExpectationError(
            f"expectation {rule.name!r} does not hold",
            what,
            "Nothing was committed. Correct the data, or choose another on_fail.",
            rule.columns[0] if rule.columns else None,
        )
    if failed and rule.on_fail == "warn":
        logger.warning("expectation %r does not hold: %s", rule.name, what)


def new_file(job: WriteJob, file: WrittenFile) -> NewFile:
    """A file of this write, to be read again."""
    schema = job.schema
    return NewFile(
        locate(job.folder, quote(file.path)),  # its path is the one on disk already
        int(json.loads(file.stats)["numRecords"]),
        {name: partition_value(text, schema[name]) for name, text in file.partition},
        schema,
        job.storage_options,
    )


def _marked(height: int, numbers: pl.Series) -> pl.Series:
    return pl.select(pl.int_range(height, dtype=pl.UInt32).is_in(numbers.implode())).to_series()


def row_rules(rules: Sequence[Rule]) -> tuple[Expectation, ...]:
    """The rules that a part can judge row by row."""
    return tuple(rule for rule in rules if isinstance(rule, Expectation))
