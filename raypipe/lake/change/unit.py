"""One unit of work: files written by several tries, quarantined rows, and the commit of one try."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from raypipe.core.errors import CommitConflictError, ConfigError, LakeError, SchemaError
from raypipe.core.faults import fault_point
from raypipe.lake.change.rewrite import Rewritten, Target
from raypipe.lake.log.change import FilesMoved, ReadSet
from raypipe.lake.log.commit import Change, Committed, Refused, SchemaMoved, commit
from raypipe.lake.read.pin import Pinned, pin
from raypipe.lake.read.snapshot import Snapshot
from raypipe.lake.storage.store import open_store
from raypipe.lake.write.job import Tally, clean_up
from raypipe.lake.write.partitions import partition_text
from raypipe.lake.write.refused import add_refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from raypipe.lake.lake import Lake
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.write.ask import Ask
    from raypipe.lake.write.fused import WriteJob
    from raypipe.lake.write.writer import Writer

Result = TypeVar("Result")

TRIES = 30
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class View:
    """The table as one try sees it."""

    pinned: Pinned
    parts: tuple[Any, ...]

    @property
    def stamp(self) -> int:
        """A time in milliseconds that is after that of every file."""
        last = self.pinned.files["modification_time"].max()
        return max(time.time_ns() // 1_000_000, (int(last) if last is not None else 0) + 1)  # type: ignore[arg-type]

    def targets(self, files: pl.DataFrame, start: int) -> list[Target]:
        """Files of the table, to be looked at; numbered from ``start`` on."""
        wanted = set(files["path"])
        spec = self.pinned.spec
        rows = zip(self.pinned.files.iter_rows(named=True), self.parts, strict=True)
        chosen = [(row, part) for row, part in rows if row["path"] in wanted]
        return [
            Target(
                unquote(row["path"]),
                part,
                tuple(
                    (name, partition_text(row[f"partition.{name}"], spec.types[name]))
                    for name in spec.partition_by
                ),
                int(row["modification_time"]),
                number,
            )
            for number, (row, part) in enumerate(chosen, start)
        ]


@dataclass(slots=True)
class Unit:
    """What one call does to a table: as many tries as it takes, one commit.

    Attributes:
        lake: the lake.
        writer: writes to the table and its quarantine.
        ask: what is asked.
        job: how files are written.
        tally: what the rows that came with the call came to.
        done: files of the table that were looked at, which later tries need not do again.
        extra: other files that were written.
        refused: files that are in quarantine by a try before.
        used: the files of the change that is being committed.
    """

    lake: Lake
    writer: Writer
    ask: Ask
    job: WriteJob
    tally: Tally
    done: dict[str, Rewritten] = field(default_factory=dict)
    extra: list[WrittenFile] = field(default_factory=list)
    numbers: int = 0
    quarantined: bool = False
    refused: tuple[WrittenFile, ...] = ()
    used: set[str] | None = None

    @property
    def spec(self) -> TableSpec:
        """The table as it is before the change, which columns may join by it."""
        return self.job.before or self.job.spec

    def view(self) -> View:
        """The table as it is now."""
        pinned = pin(self.writer.log, None)
        if pinned.spec != self.spec:
            raise SchemaMoved
        return View(pinned, Snapshot(self.lake, self.writer.log, pinned).parts())

    @property
    def must_commit(self) -> bool:
        """Whether there is something to commit even when no row of the table changes: the mark
        of a batch, so that it counts once, or refused rows.
        """
        return self.ask.app_id is not None or bool(self.tally.quarantine_files)

    def number(self, count: int = 1) -> int:
        """The first of so many numbers that no file of this unit has."""
        first, self.numbers = self.numbers, self.numbers + count
        return first

    def tries(self, once: Callable[[View], Committed | None]) -> Committed | None:
        """Runs tries until one commits, or finds that there is nothing to commit.

        Raises:
            CommitConflictError: others came first many times.
            SchemaMoved: the table's columns or rules are not those of the job any more.
        """

        def all_tries() -> Committed | None:
            for _ in range(TRIES):
                try:
                    return self._settled(once(self.view()))
                except FilesMoved:
                    logger.info("table %r changed meanwhile: deciding anew", self.writer.log.name)
            raise CommitConflictError(
                f"other writers changed the same rows of table {self.writer.log.name!r} "
                f"{TRIES} times",
                None,
                "Nothing was committed. Try again with the same batch_id.",
            )

        return self._guarded(all_tries)

    def _guarded(self, work: Callable[[], Result]) -> Result:
        """Does it; where it fails and for certain committed nothing, nothing stays behind."""
        try:
            return work()
        except Refused as error:
            self.give_up()
            raise LakeError(
                f"table {self.writer.log.name!r} cannot be written",
                str(error),
                "Nothing was written.",
            ) from error
        except (CommitConflictError, SchemaError, ConfigError, SchemaMoved):
            # These say for certain that nothing was committed to the table itself.
            self.give_up()
            raise
        except BaseException:
            if self.used is None:  # no commit was begun
                self.give_up()
                clean_up(self.job, quarantine=not self.quarantined)
            raise

    def first(self, **change: Any) -> Committed:
        """Makes the table, with its first rows.

        Raises:
            SchemaMoved: another writer made it meanwhile.
        """

        def once() -> Committed:
            self.quarantined = self.writer.commit_quarantine(self.ask, self.job, self.tally)
            fault_point("lake:after-files")
            self.used = {file.path for file in change["files"]}
            try:
                return commit(
                    self.writer.log,
                    Change(
                        spec=self.job.spec,
                        app_id=self.ask.app_id,
                        if_version=-1,
                        attempt=self.ask.attempt,
                        points="lake",
                        **change,
                    ),
                )
            except CommitConflictError:
                raise SchemaMoved from None

        return self._guarded(once)

    def commit(self, view: View, where: Mapping[str, Any] | None, **change: Any) -> Committed:
        """Commits a try: refused rows first, then the change.

        Args:
            view: what the try was decided on.
            where: the filter that the rows it was decided on pass; None for every row.
            change: the arguments of ``Change`` that are its own.
        """
        wanted = Change(
            spec=self.spec,
            evolve=self.job.spec if self.job.before else None,
            read=ReadSet(view.pinned.version, where),
            keep_stamps=True,
            app_id=self.ask.app_id,
            if_version=self.ask.if_version,
            attempt=self.ask.attempt,
            points="lake",
            **change,
        )
        files = (*wanted.files, *wanted.change_files)
        return self.commit_by(lambda: commit(self.writer.log, wanted), files)

    def commit_by(
        self, act: Callable[[], Committed], files: Sequence[WrittenFile] = ()
    ) -> Committed:
        """Commits refused rows, then lets ``act`` commit these files of the unit."""
        refused = self.tally.quarantine_files
        if self.quarantined:
            add_refused(self.writer.quarantine, self.job, refused, self.refused)
        else:
            self.quarantined = self.writer.commit_quarantine(self.ask, self.job, self.tally)
        self.refused = refused
        fault_point("lake:after-files")
        self.used = {file.path for file in files}
        try:
            return act()
        except FilesMoved:
            self.used = None
            raise

    def give_up(self) -> None:
        """Removes all that was written for a call that committed nothing."""
        self.writer.withdraw_quarantine(self.ask, self.job)
        self._remove(self._written())
        clean_up(self.job, self.tally, quarantine=not self.quarantined)

    def _settled(self, done: Committed | None) -> Committed | None:
        if done is None or done.applied_before:
            self.give_up()
        else:
            used = self.used or set()
            self._remove([file for file in self._written() if file.path not in used])
        return done

    def _written(self) -> list[WrittenFile]:
        return self.extra + [f for one in self.done.values() for f in (*one.files, *one.feed)]

    def _remove(self, files: list[WrittenFile]) -> None:
        if not files:
            return
        try:
            open_store(self.job.folder, self.job.storage_options).delete(f.path for f in files)
        except OSError as error:
            logger.warning("files of a change stay in %s: %s", self.job.folder, error)
