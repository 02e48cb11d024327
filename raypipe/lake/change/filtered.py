"""Delete, update and overwrite of the rows of a filter, from the call to the commit."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import CommitConflictError, ConfigError
from raypipe.expressions import encode
from raypipe.lake.change.ask import checked_where
from raypipe.lake.change.edit import Edited, Filtered, checked_set, look
from raypipe.lake.change.feed import tell_file
from raypipe.lake.change.unit import Unit, View
from raypipe.lake.log.change import SCHEMA_TRIES
from raypipe.lake.log.commit import Committed, FilesMoved, SchemaMoved
from raypipe.lake.quality.expect import Expectation
from raypipe.lake.quality.keys import ForeignKeyRule, UniqueRule
from raypipe.lake.storage.store import check_writable
from raypipe.lake.write.job import Tally, clean_up, run_job
from raypipe.lake.write.noted import note_of, result_of
from raypipe.lake.write.refused import read_set
from raypipe.lake.write.sources import Source, resolve
from raypipe.lake.write.whole import Whole, judge_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.lake import Lake
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.outcome import Commit
    from raypipe.lake.quality.base import Rule
    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.write.ask import Ask
    from raypipe.lake.write.fused import WriteJob
    from raypipe.lake.write.writer import Writer

_NONE = Source(())
INSIDE = "overwrite(where=…)"

logger = logging.getLogger(__name__)


def edit(
    lake: Lake, writer: Writer, ask: Ask, where: pl.Expr, sets: Mapping[str, Any] | None
) -> Commit:
    """Deletes the rows of a filter, or updates them, once."""
    check_writable(writer.root)
    for _ in range(SCHEMA_TRIES):
        now = writer.now()
        if now.spec is None:
            raise writer.log.not_found()
        before = writer.applied(ask)
        if before is not None:
            return before
        what = _checked(writer, now.spec, where, sets)
        plain = replace(writer.options, evolve="fail", schema=None)  # no row comes that may not fit
        job = replace(writer, options=plain).job(ask, _NONE, now)
        _refuse_keys(writer.rules(job), what, writer.log.name)
        masked = [name for name in what.sets or () if name in job.masks]
        if masked:
            raise ConfigError(
                f"column {masked[0]!r} of table {writer.log.name!r} is masked as it is written",
                None,
                "Merge the rows instead: what a merge brings is masked.",
                "set",
            )
        unit = Unit(lake, writer, ask, job, Tally(()))
        try:
            done = unit.tries(lambda view: _edit_once(unit, view, what))  # noqa: B023 - runs at once
        except SchemaMoved:
            ask = replace(ask, attempt=uuid.uuid4().hex)  # its files are others than the first's
            continue
        return _result(unit, done, Edited(()))
    raise CommitConflictError(f"table {writer.log.name!r} changes its schema again and again")


def _checked(
    writer: Writer, spec: TableSpec, where: pl.Expr, sets: Mapping[str, Any] | None
) -> Filtered:
    name = writer.log.name
    if spec.append_only:
        raise ConfigError(
            f"rows of table {name!r} may only be added",
            "delta.appendOnly",
            "Take the property away first.",
        )
    node = checked_where(where, spec, name)
    return Filtered(where, node, None if sets is None else checked_set(sets, spec.types, name))


def _refuse_keys(rules: Sequence[Rule], what: Filtered, table: str) -> None:
    """Refuses to set a column whose values are judged beside other rows.

    Raises:
        ConfigError: it is of a unique or a foreign key.
    """
    for rule in rules:
        held = isinstance(rule, UniqueRule | ForeignKeyRule) and rule.on_fail != "warn"
        if held and set(rule.columns) & set(what.sets or ()):
            raise ConfigError(
                f"expectation {rule.name!r} cannot be asked in an update of table {table!r}",
                list(rule.columns),
                "Set other columns, put the rows in place with overwrite(where=…), or name the "
                "table without it for this call.",
                "set",
            )


def _edit_once(unit: Unit, view: View, what: Filtered) -> Committed | None:
    edited = look(unit, view, what)
    if not edited.touched and not unit.must_commit:
        return None
    operation = "DELETE" if what.sets is None else "UPDATE"
    noted = _noted(unit, edited)
    return unit.commit(view, what.node, operation=operation, noted=noted, **edited.change)


def _noted(unit: Unit, edited: Edited, source: Source = _NONE) -> Mapping[str, Any]:
    report = unit.tally.report(unit.writer.rules(unit.job))
    return {
        **note_of(unit.ask, report, source),
        "updated": edited.count("updated"),
        "deleted": edited.count("deleted"),
    }


def _result(unit: Unit, done: Committed | None, nothing: Edited) -> Commit:
    if done is None:
        log = unit.writer.log
        return result_of(log.name, Committed(log.version(), _noted(unit, nothing)))
    return unit.writer.kept(done, unit.job.spec)


def overwrite(lake: Lake, writer: Writer, data: object, ask: Ask, where: pl.Expr) -> Commit:
    """Puts rows in the place of those of a filter, once."""
    check_writable(writer.root)
    source = resolve(data, lake.storage_options)
    for _ in range(SCHEMA_TRIES):
        now = writer.now()
        if now.spec is None:
            raise writer.log.not_found()
        before = writer.applied(ask)
        if before is not None:
            return before
        what = _checked(writer, now.spec, where, None)
        job = writer.job(ask, source, now)
        try:
            checked = replace(job, expect=(*job.expect, _inside(where, now.spec)))
            written = run_job(source, checked, ask.run_on)
            # The last count is that of the rule that only this call has.
            results = tuple(replace(one, broken=one.broken[:-1]) for one in written.results)
            keys = _Keys(Whole(replace(written, results=results)))
            keys.judge(writer, ask, job, what)
        except BaseException:
            clean_up(job)
            raise
        tally = keys.whole.tally
        unit = Unit(lake, writer, ask, job, tally, extra=list(tally.files))
        try:
            done = unit.tries(lambda view: _overwrite_once(unit, view, what, source, keys))  # noqa: B023
        except SchemaMoved:
            ask = replace(ask, attempt=uuid.uuid4().hex)  # its files are others than the first's
            continue
        return _result(unit, done, Edited(()))
    raise CommitConflictError(f"table {writer.log.name!r} changes its schema again and again")


def _inside(where: pl.Expr, spec: TableSpec) -> Expectation:
    """A row outside of the filter would stand beside those that it was to replace."""
    some = pl.col(next(iter(spec.columns)))  # so that a filter without a column is one of rows too
    holds = where.fill_null(False) & (some.is_null() | some.is_not_null())
    return Expectation(
        name=INSIDE, on_fail="fail", columns=tuple(holds.meta.root_names()), holds=holds
    )


@dataclass(slots=True)
class _Keys:
    """What the new rows of an overwrite came to beside the rows that stay."""

    whole: Whole

    def judge(self, writer: Writer, ask: Ask, job: WriteJob, what: Filtered) -> None:
        """Judges them, anew when rivals came first."""
        beside = writer.beside(ask, ~what.where.fill_null(False))
        self.whole = judge_whole(job, writer.rules(job), self.whole.tally, beside)

    def read(self, what: Filtered) -> Mapping[str, Any] | None:
        """What no rival may have added: rows of the filter, and rows of the new rows' keys."""
        if self.whole.everything:
            return None
        if self.whole.where is None:
            return what.node
        return encode(what.where | self.whole.where)


def _overwrite_once(
    unit: Unit, view: View, what: Filtered, source: Source, keys: _Keys
) -> Committed | None:
    if read_set(keys.whole) is not None and keys.whole.version < view.pinned.version:
        keys.judge(unit.writer, unit.ask, unit.job, what)
        unit.tally = keys.whole.tally
        if keys.whole.version > view.pinned.version:
            raise FilesMoved  # judged beside a later version than the one that was looked at
    edited = look(unit, view, what)
    new = tuple(replace(file, stamp=view.stamp) for file in unit.tally.files)
    if not edited.touched and not new and not unit.must_commit:
        return None
    change = edited.change
    change["files"] += new
    if change["change_files"]:
        change["change_files"] += _told(unit, new)
    return unit.commit(
        view, keys.read(what), operation="WRITE", noted=_noted(unit, edited, source), **change
    )


def _told(unit: Unit, files: tuple[WrittenFile, ...]) -> tuple[WrittenFile, ...]:
    """New rows in the change feed: as soon as a commit tells some rows there, it tells all."""
    told = tuple(tell_file(unit.job, file) for file in files)
    unit.extra += told
    return told
