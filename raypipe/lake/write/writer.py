"""A write from its start to its commit: rows and refused rows in one unit of work."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    LakeError,
    RaypipeError,
    SchemaError,
)
from raypipe.core.faults import fault_point
from raypipe.lake.log.change import SCHEMA_TRIES
from raypipe.lake.log.commit import (
    Change,
    Committed,
    FilesMoved,
    Refused,
    SchemaMoved,
    commit,
    version_conflict,
)
from raypipe.lake.log.protocol import Protocol, refuse_unwritable
from raypipe.lake.log.table_log import TableLog, our_part
from raypipe.lake.options import CHECKS_KEPT, TableOptions
from raypipe.lake.quality.expect import check_types, named
from raypipe.lake.quality.figures import measured_columns
from raypipe.lake.quality.tags import (
    first_masked,
    guarded,
    hashed_before,
    masks_for,
    stored_types,
    tagged,
)
from raypipe.lake.schema.contract import check_declared, evolved
from raypipe.lake.schema.dtypes import check_names
from raypipe.lake.storage.store import check_writable
from raypipe.lake.write.ask import Ask
from raypipe.lake.write.checks import keep_checks
from raypipe.lake.write.fused import PartResult, Transform, WriteJob
from raypipe.lake.write.guess import write_guessed
from raypipe.lake.write.job import (
    Tally,
    clean_up,
    infer_schema,
    judge_job,
    place_of,
    run_job,
    settle,
)
from raypipe.lake.write.noted import note_of, result_of
from raypipe.lake.write.previous import previous_figure
from raypipe.lake.write.refused import add_refused, commit_refused, read_set, refuse_reserved
from raypipe.lake.write.sources import Source, Types, resolve
from raypipe.lake.write.whole import Beside, Whole, check_whole, judge_whole, row_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from raypipe.engine.parts import RunOn
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.outcome import Commit, Report
    from raypipe.lake.quality.base import Rule
    from raypipe.lake.quality.key_search import KeyPart
    from raypipe.lake.quality.tags import Masks
    from raypipe.lake.schema.spec import TableSpec

QUARANTINE = "__quarantine"
_RIVALS = 60

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Now:
    """The table as a write finds it."""

    version: int
    spec: TableSpec | None
    partition_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes to one table and its quarantine table."""

    root: str
    log: TableLog
    quarantine: TableLog
    options: TableOptions
    rows: Callable[[str], Any]
    """The newest rows of one of the lake's tables."""

    def write(self, data: object, ask: Ask) -> Commit:
        """Does what is asked, once."""
        check_writable(self.root)
        now = self.now()
        before = self.applied(ask) if now.spec is not None else None
        if before is not None:
            return before
        if ask.if_version is not None and ask.if_version != now.version:
            raise version_conflict(self.log, ask.if_version, now.version)
        source = resolve(data, self.log.options)
        ask = replace(ask, run_on=place_of(source, ask.run_on))  # decided, and said, once
        for _ in range(SCHEMA_TRIES):
            job, results = self._begun(ask, source, now)
            try:
                if results is None:
                    tally = run_job(source, job, ask.run_on)
                else:
                    tally = settle(results, job)
                fault_point("lake:after-files")
                whole = judge_whole(job, self.rules(job), tally, self.beside(ask))
            except BaseException:
                clean_up(job)
                raise
            try:
                return self._commit(ask, job, whole, source)
            except SchemaMoved:
                now = self.now()  # another writer made the table meanwhile: fit its types
                if ask.app_id is None:
                    self.withdraw_quarantine(ask, job)
                # Else what is in quarantine is replaced, which needs files of other names.
                ask = replace(ask, attempt=uuid.uuid4().hex)
        raise CommitConflictError(f"table {self.log.name!r} changes its schema again and again")

    def _begun(
        self, ask: Ask, source: Source, now: Now
    ) -> tuple[WriteJob, list[PartResult] | None]:
        """The job, and what its parts came to if they ran while their types were found."""
        if now.spec is not None or self.options.schema is not None:
            return self.job(ask, source, now), None
        found = write_guessed(source, ask, lambda types: self.job(ask, source, now, types))
        return found.done or (self.job(ask, source, now, found.types), None)

    def applied(self, ask: Ask) -> Commit | None:
        """What the batch came to when it was committed before; None when it was not."""
        version = None if ask.app_id is None else self.log.transaction(ask.app_id)
        if version is None:
            return None
        noted = our_part(self.log.commit_info(version))
        return self.kept(Committed(version, noted, applied_before=True))

    def check(self, data: object, run_on: RunOn, transform: Transform | None = None) -> Report:
        """Judges data and writes nothing."""
        source = resolve(data, self.log.options)
        place = place_of(source, run_on)
        ask = Ask.of("check", None, None, True, place, None, transform)
        job = self.job(ask, source, self.now())
        results = judge_job(source, job, place)
        rules = self.rules(job)
        return check_whole(job, rules, results, source.parts, self.beside(ask)).report(rules)

    def now(self) -> Now:
        """The table as it is.

        Raises:
            ConfigError: it has a rule of another engine that cannot be obeyed here.
        """
        if self.log.version_or_none() is None:
            return Now(-1, None, self.options.partition_by)
        with self.log.newest() as table:
            spec = self.log.spec(table)
            refuse_unwritable(self.log.name, Protocol.of(table), spec)
            wanted = self.options.partition_by or spec.partition_by
            return Now(int(table.version()), spec, wanted)

    def job(self, ask: Ask, source: Source, now: Now, types: Types | None = None) -> WriteJob:
        """What every part of a write needs to know; ``types`` are those of a first write, if known.

        Raises:
            SchemaError: an expectation or a partition column does not fit the table.
        """
        masks = masks_for(self.options.pii, now.spec, f"table {self.log.name!r}")
        if now.spec is None:
            spec = self._first_spec(source, ask, masks, types)
            if self.options.schema is not None:
                spec = self._spec_now(spec, source, ask, masks)
        else:
            spec = self._spec_now(now.spec, source, ask, masks)
        schema = spec.types
        for name in now.partition_by:
            dtype = schema.get(name)
            # Bytes have no text form that every reader takes back to the same bytes.
            unfit = (pl.Float32, pl.Float64, pl.Binary)
            if dtype is None or isinstance(dtype, unfit) or dtype.is_nested():
                raise SchemaError(
                    f"table {self.log.name!r} cannot be partitioned by {name!r}",
                    "no such column" if dtype is None else str(dtype),
                    "Use a column of whole numbers, strings, dates, times or booleans.",
                    name,
                )
        rules = named(self.options.expect, masks)
        check_types(rules, schema, f"table {self.log.name!r}", masks)
        return WriteJob(
            folder=self.log.uri,
            quarantine_folder=self.quarantine.uri,
            storage_options=self.log.options,
            spec=replace(spec, partition_by=now.partition_by),
            expect=row_rules(rules),
            attempt=ask.attempt,
            batch=ask.batch,
            quarantine_prefix=ask.quarantine_prefix,
            allow_empty=ask.allow_empty,
            masks=masks,
            hashed=hashed_before(masks, source.stored, as_it_is=ask.transform is None),
            measured=measured_columns(rules),
            transform=ask.transform,
            evolve=self.options.evolve,
            before=None if spec is now.spec else now.spec,
        )

    def _spec_now(self, spec: TableSpec, source: Source, ask: Ask, masks: Masks) -> TableSpec:
        """The table with the columns that join it by this write."""
        table, adds = f"table {self.log.name!r}", self.options.evolve == "add"
        declared = self.options.schema or {}
        if declared:
            types = stored_types({n: one.dtype for n, one in declared.items()}, masks)
            check_declared(declared, types, spec, table, may_add=adds)
        if not adds:
            return spec
        coming = guarded(
            masks,
            "the data",
            lambda: infer_schema(source, ask.run_on, ask.transform, known=spec.types),
        )
        coming = {n: t for n, t in coming.items() if n not in spec.columns}
        coming |= {n: one.dtype for n, one in declared.items() if n not in spec.columns}
        refuse_reserved(coming, change_feed=spec.change_feed)
        made = evolved(spec, stored_types(coming, masks), declared, "the data")
        return spec if made is spec else replace(made, columns=tagged(made.columns, masks))

    def rules(self, job: WriteJob) -> tuple[Rule, ...]:
        """What a write is judged by: of rows, and as a whole."""
        return named(self.options.expect, job.masks)

    def beside(self, ask: Ask, staying: pl.Expr | None = None) -> Beside:
        """What rules about the whole look at.

        Args:
            ask: an overwrite has no row of the table beside it.
            staying: the rows of the table that are beside it all the same.
        """
        asked = len(row_rules(self.options.expect)) < len(self.options.expect)
        if not asked or self.log.version_or_none() is None:
            return Beside()  # the table's files are listed only where a rule asks about them
        rows = self.rows(self.log.name)
        if staying is not None:
            return Beside(rows.version, partial(_parts_of, rows.where(staying)), self.previous)
        if ask.kind == "overwrite":
            return Beside(rows.version, None, self.previous)
        return Beside(rows.version, partial(_parts_of, rows), self.previous)

    def previous(self, name: str) -> Any:
        """The figure that the write before came to, by the expectation's name."""
        return previous_figure(self.log, self.rows, name)

    def _first_spec(
        self, source: Source, ask: Ask, masks: Masks, schema: Types | None
    ) -> TableSpec:
        declared = self.options.schema
        where = "the data" if declared is None else "the declared schema"
        types: Mapping[str, pl.DataType] = {n: one.dtype for n, one in (declared or {}).items()}
        if schema is not None:
            types = schema
        elif declared is None:
            types = guarded(masks, where, lambda: infer_schema(source, ask.run_on, ask.transform))
        check_names(types, where)
        first = self.options.first_spec(types)
        refuse_reserved(types, change_feed=first.change_feed)
        return first_masked(first, masks)

    def _commit(self, ask: Ask, job: WriteJob, whole: Whole, source: Source) -> Commit:
        refused: tuple[WrittenFile, ...] = ()
        for _ in range(_RIVALS):
            try:
                return self._commit_once(ask, job, whole, source, refused)
            except FilesMoved:  # a rival's rows may hold a key of ours: who is second looks again
                refused = whole.tally.quarantine_files
                try:
                    again = self.beside(ask)
                    whole = judge_whole(job, self.rules(job), whole.tally, again)
                except BaseException:
                    self.withdraw_quarantine(ask, job)
                    clean_up(job, quarantine=not refused)
                    raise
        self.withdraw_quarantine(ask, job)
        clean_up(job)
        raise CommitConflictError(
            f"other writers of table {self.log.name!r} came first {_RIVALS} times",
            None,
            "Nothing was committed. Append again with the same batch_id.",
        )

    def _commit_once(
        self,
        ask: Ask,
        job: WriteJob,
        whole: Whole,
        source: Source,
        refused: tuple[WrittenFile, ...],
    ) -> Commit:
        """One try; ``refused`` files are in quarantine by a try before."""
        tally = whole.tally
        change = Change(
            files=tally.files,
            spec=job.before or job.spec,
            evolve=job.spec if job.before else None,
            read=read_set(whole),
            remove="all" if ask.kind == "overwrite" else None,
            app_id=ask.app_id,
            if_version=ask.if_version,
            noted=note_of(ask, tally.report(self.rules(job)), source),
            attempt=ask.attempt,
            points="lake",
        )
        # Files that were once in the quarantine's log stay: a reader may have it pinned, and of two
        # writers of one batch either one's may be the ones that count.
        quarantined = bool(refused)
        try:
            if refused:
                add_refused(self.quarantine, job, tally.quarantine_files, refused)
            else:
                quarantined = self.commit_quarantine(ask, job, tally)
            done = commit(self.log, change)
        except FilesMoved:
            raise
        except SchemaMoved:
            clean_up(job, tally, quarantine=not quarantined)
            raise
        except (CommitConflictError, SchemaError, ConfigError, Refused) as error:
            # These say for certain that nothing was committed to the table itself.
            self.withdraw_quarantine(ask, job)
            clean_up(job, tally, quarantine=not quarantined)
            if isinstance(error, Refused):
                raise LakeError(
                    f"table {self.log.name!r} cannot be written", str(error), "Nothing was written."
                ) from error
            raise
        if done.applied_before:
            clean_up(job, tally, quarantine=not quarantined)
        return self.kept(done, job.spec)

    def commit_quarantine(self, ask: Ask, job: WriteJob, tally: Tally) -> bool:
        """Before the data: what a kill between the two leaves, the retry replaces."""
        stale = ask.app_id is not None and self.quarantine.has_transaction(ask.app_id)
        if not tally.quarantine_files and not stale:
            return False
        self._replace_quarantined(ask, job, tally.quarantine_files, ask.quarantine_prefix)
        fault_point("lake:after-quarantine")
        return True

    def _replace_quarantined(
        self, ask: Ask, job: WriteJob, files: tuple[WrittenFile, ...], remove: str
    ) -> None:
        commit_refused(
            self.quarantine,
            job,
            files=files,
            remove=remove,
            app_id=ask.app_id,
            replaces=True,
            noted={"kind": "quarantine", "batch_id": ask.batch_id},
            attempt=ask.attempt,
        )

    def withdraw_quarantine(self, ask: Ask, job: WriteJob) -> None:
        """Takes back the refused rows of a write that was not committed."""
        if self.quarantine.version_or_none() is None:
            return
        try:
            # Another writer may have brought the same batch to its end: then they are its rows.
            if ask.app_id is None or not self.log.has_transaction(ask.app_id):
                self._replace_quarantined(ask, job, (), ask.quarantine_prefix + ask.attempt)
        except (RaypipeError, Refused) as error:
            logger.warning("rows of %r stay in quarantine uncommitted: %s", ask.batch, error)

    def kept(self, done: Committed, spec: TableSpec | None = None) -> Commit:
        """The result of a commit, whose checks are in their table from now on."""
        if done.noted.get("checks"):
            properties = {**(spec.properties if spec else {}), **self.options.properties}
            if properties.get(CHECKS_KEPT) != "false":
                keep_checks(self.log, done.version)
        return result_of(self.log.name, done)


def _parts_of(rows: Any, where: pl.Expr | None) -> Sequence[KeyPart]:
    found: Sequence[KeyPart] = (rows if where is None else rows.where(where)).parts()
    return found
