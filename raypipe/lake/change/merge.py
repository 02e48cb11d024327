"""Merge: source rows meet the rows of a table by their keys, in one commit."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import CommitConflictError, ConfigError
from raypipe.engine.parts import run_parts
from raypipe.lake.change.feed import INSERT, write_feed
from raypipe.lake.change.library import counted, merge_by_library, refuse_unfit
from raypipe.lake.change.plan import candidates, key_filter
from raypipe.lake.change.rewrite import RewriteJob, Rewritten, merge_file
from raypipe.lake.change.source import GONE, Prepared, joining, prepare
from raypipe.lake.change.unit import Unit, View
from raypipe.lake.change.whole import judge_source, refuse_unjudged
from raypipe.lake.log.change import SCHEMA_TRIES
from raypipe.lake.log.commit import Committed, SchemaMoved
from raypipe.lake.storage.store import check_writable
from raypipe.lake.write.fused import part_name, write_rows
from raypipe.lake.write.job import clean_up
from raypipe.lake.write.noted import note_of, result_of
from raypipe.lake.write.sources import Source, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.change.ask import MergeAsk
    from raypipe.lake.lake import Lake
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.outcome import Commit
    from raypipe.lake.write.ask import Ask
    from raypipe.lake.write.fused import WriteJob
    from raypipe.lake.write.writer import Writer

_LAST = 10_000_000
"""Numbers of new rows' files begin here: they are read after the rows that were there."""

logger = logging.getLogger(__name__)


def merge(lake: Lake, writer: Writer, data: object, ask: Ask, how: MergeAsk) -> Commit:
    """Does what a merge asks for, once."""
    check_writable(writer.root)
    source = resolve(data, lake.storage_options)
    for _ in range(SCHEMA_TRIES):
        now = writer.now()
        before = _applied(writer, ask) if now.spec is not None else None
        if before is not None:
            return before
        job = joining(writer.job(ask, source, now), how)
        how.check(job.before or job.spec, writer.log.name)
        _refuse_append_only(job, how, writer.log.name)
        refuse_unfit(how, job, writer.log.name)
        rules = writer.rules(job)
        refuse_unjudged(rules, how, job.spec, writer.log.name)
        try:
            prepared = prepare(source, job, how, ask.run_on)
            prepared = judge_source(prepared, job, rules, writer.previous)
        except BaseException:
            clean_up(job)
            raise
        try:
            one = _Merge(Unit(lake, writer, ask, job, prepared.tally), how, source, prepared)
            return one.run(new=now.spec is None)
        except SchemaMoved:
            ask = replace(ask, attempt=uuid.uuid4().hex)  # its files are others than the first's
            continue  # another writer made or changed the table meanwhile: fit its types
    raise CommitConflictError(f"table {writer.log.name!r} changes its schema again and again")


def _applied(writer: Writer, ask: Ask) -> Commit | None:
    version = None if ask.app_id is None else writer.log.transaction(ask.app_id)
    if version is None:
        return None
    noted = counted(writer.log.commit_info(version))
    return writer.kept(Committed(version, noted, applied_before=True))


def _refuse_append_only(job: WriteJob, how: MergeAsk, table: str) -> None:
    acts = how.when_matched != "ignore" or how.delete_when is not None
    if job.spec.append_only and acts:
        raise ConfigError(
            f"rows of table {table!r} may only be added",
            "delta.appendOnly",
            "Merge with when_matched='ignore', or take the property away.",
        )


@dataclass(frozen=True, slots=True)
class _Merge:
    unit: Unit
    how: MergeAsk
    source: Source
    prepared: Prepared

    def run(self, *, new: bool) -> Commit:
        unit = self.unit
        done = self._first() if new else unit.tries(self._once)
        if done is not None:
            return unit.writer.kept(done, unit.job.spec)
        version = unit.writer.log.version_or_none()
        done = Committed(-1 if version is None else version, self._noted((), 0))
        return result_of(unit.writer.log.name, done)

    def _first(self) -> Committed | None:
        unit = self.unit
        rows = self._new_rows(())
        if not rows.height and not unit.must_commit:
            return None  # a table is made by its first row
        added = self._write(rows, feed=False, stamp=0)
        noted = self._noted((), rows.height)
        return unit.first(files=added.files, operation="MERGE", noted=noted)

    def _once(self, view: View) -> Committed | None:
        unit, rows = self.unit, self.prepared.rows
        if self.how.how == "deltalake" and rows.height:
            noted = self._base("deltalake")
            return unit.commit_by(lambda: merge_by_library(unit, rows, self.how, noted))
        where = key_filter(rows.select(self.how.on))
        files = candidates(where, view.pinned.files, unit.spec.types) if rows.height else None
        looked = self._look(view, files) if files is not None else []
        touched = [one for one in looked if one.touched]
        feed = [file for one in touched for file in one.feed]
        new = self._new_rows(looked)
        added = self._write(new, feed=bool(feed), stamp=view.stamp)
        if not touched and not new.height and not unit.must_commit:
            return None
        return unit.commit(
            view,
            where,
            files=tuple(f for one in touched for f in one.files) + added.files,
            remove_paths=tuple(one.path for one in touched),
            change_files=(*feed, *added.feed),
            operation="MERGE",
            noted=self._noted(touched, new.height),
        )

    def _look(self, view: View, files: pl.DataFrame) -> list[Rewritten]:
        """What becomes of each file; of those that an earlier try has seen it is known."""
        unit = self.unit
        targets = view.targets(files, unit.number(files.height))
        fresh = [target for target in targets if target.path not in unit.done]
        job = RewriteJob(unit.job, unit.job.spec.change_feed)
        results = run_parts(
            partial(merge_file, job, self.how, self.prepared.rows),
            fresh,
            run_on=unit.ask.run_on,
            bytes_hint=sum(target.part.nbytes for target in fresh),
        )
        unit.done.update({one.path: one for one in results})
        return [unit.done[target.path] for target in targets]

    def _new_rows(self, looked: Sequence[Rewritten]) -> pl.DataFrame:
        """The source rows whose keys no file has."""
        rows = self.prepared.rows
        if self.how.when_not_matched == "ignore":
            return rows.clear()
        met = [one.met for one in looked if one.met is not None and len(one.met)]
        unmet = ~rows[GONE]
        if met:
            unmet = unmet.scatter(pl.concat(met), False)
        return rows.filter(unmet).select(list(self.unit.job.spec.columns))

    def _write(self, rows: pl.DataFrame, *, feed: bool, stamp: int) -> _Added:
        if not rows.height:
            return _Added()
        unit = self.unit
        name = part_name(unit.job, _LAST + unit.number())
        files = tuple(replace(f, stamp=stamp) for f in write_rows(unit.job, rows, name))
        told = write_feed(unit.job, [(rows, INSERT)], name) if feed else ()
        unit.extra += [*files, *told]
        return _Added(files, told)

    def _noted(self, touched: Sequence[Rewritten], inserted: int) -> Mapping[str, Any]:
        updated = sum(one.updated for one in touched)
        return {
            **self._base("rewrite"),
            "rows": inserted + updated,
            "inserted": inserted,
            "updated": updated,
            "deleted": sum(one.deleted for one in touched),
        }

    def _base(self, way: str) -> dict[str, Any]:
        unit = self.unit
        report = unit.tally.report(unit.writer.rules(unit.job))
        noted = note_of(unit.ask, report, self.source)
        return {**noted, "on": list(self.how.on), "how": way}


@dataclass(frozen=True, slots=True)
class _Added:
    files: tuple[WrittenFile, ...] = ()
    feed: tuple[WrittenFile, ...] = ()
