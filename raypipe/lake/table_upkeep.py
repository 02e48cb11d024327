"""How a table is kept in shape: few large files, none that nobody needs, a short log."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError
from raypipe.lake.read.pin import pin
from raypipe.lake.read.snapshot import Snapshot
from raypipe.lake.table_base import TableBase
from raypipe.lake.upkeep.auto import THRIFTY, after_write
from raypipe.lake.upkeep.compact import CompactAsk, compact
from raypipe.lake.upkeep.restore import restore
from raypipe.lake.upkeep.vacuum import clean_log, vacuum

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    import polars as pl

    from raypipe.engine.parts import RunOn
    from raypipe.lake.outcome import Commit
    from raypipe.lake.upkeep.report import Compaction, VacuumReport


class TableUpkeep(TableBase):
    """The methods that keep a table in shape, or bring it back to an older one."""

    def compact(
        self,
        *,
        where: pl.Expr | None = None,
        target_bytes: int | None = None,
        z_order: str | Sequence[str] = (),
        run_on: RunOn = "auto",
    ) -> Compaction:
        """Puts small files together into fewer large ones; no row changes.

        Files of one partition that follow each other in reading order become one, which takes the
        place of the first: rows keep their order within a partition, and in the whole of a table
        without partitions. Files of three quarters of the target size or more stay. In a table with
        ``sort_by`` the rows of each new file are sorted by it. The change feed says nothing of it.

        With ``z_order`` all files are rewritten, so that rows that are near in several columns lie
        in the same files and row groups: the columns' values become ranks, whose bits are
        interleaved (Morton's order over quantiles). Up to 1 GiB of files is laid out at once.

        Safe beside writers, merges and other compactions, which it neither loses nor doubles: it
        commits only while the files that it read are in the table, and otherwise decides again.
        Killed anywhere, it left the table as it was or compacted; a vacuum takes the files it left.

        Args:
            where: only files that can hold a row of this filter (with their neighbours).
            target_bytes: how large a file should become; default ``delta.targetFileSize``, else
                256 MiB. A worker holds the rows of one such file in memory.
            z_order: columns to lay the rows out by.
            run_on: ``"local"``, ``"ray"``, or ``"auto"`` by size.

        Raises:
            TableNotFoundError: nothing has been written yet.
            ConfigError: an argument is not usable, or the table allows no such change.
            SchemaError: a column is not there, or cannot be ordered.
            LakeError: a file is gone or damaged.
            CommitConflictError: others changed the same files under every attempt.
        """
        columns = (z_order,) if isinstance(z_order, str) else tuple(z_order)
        ask = CompactAsk(where=where, target_bytes=target_bytes, z_order=columns, run_on=run_on)
        return compact(self._log, self._look, ask)

    def tidy(self) -> Compaction:
        """Compacts as writers do where ``delta.autoOptimize.autoCompact`` is set.

        Only where at least 50 small files follow each other, and no file together with others that
        are smaller in all: called again and again, it rewrites a row a few times in its life. Runs
        in this process. Guarantees and errors are those of ``compact``.
        """
        return compact(self._log, self._look, THRIFTY)

    def restore(self, version: int | None = None, timestamp: datetime | None = None) -> Commit:
        """Makes the table what it was at a version or a time, in one commit on top of the newest.

        Rows, columns and properties are those of then; the versions between stay readable. What
        others commit before it does is undone too. Files are not copied: those of then must still
        be there. A batch that was committed since stays known: to bring its rows again, write them
        under another ``batch_id``.

        Returns:
            The commit; its ``rows`` are those that came back. If the table is what it was already,
            nothing is committed and ``applied_before`` is true.

        Raises:
            TableNotFoundError: nothing has been written yet.
            VersionNotFoundError: there is no such version, or a vacuum has taken files of it.
            ConfigError: not just one of the two is given, or the table allows no removal.
            LakeError: a file of that version is gone.
            CommitConflictError: others came first many times.
        """
        return restore(self._log, self._lake._pin_book, self._wanted(version, timestamp))

    def vacuum(
        self,
        *,
        retention: timedelta | None = None,
        log: bool = False,
        dry_run: bool = False,
    ) -> VacuumReport:
        """Removes files that no retained version needs, also those of writes that failed.

        What stays: the files of the newest version; files that left the table less than
        ``retention`` ago; the files of every version that is pinned (``Lake.pin``; registered
        models and trainings under way pin theirs), whoever removed them. The report tells for whom.
        A file that is in no commit stays for the retention, and an hour at least, since somebody
        may be about to commit it: no write may take longer than that. Where the clock here is
        minutes ahead of that of the place where the table lies, the latter counts.

        Which versions end is written down before the first file goes, so that nobody pins one of
        them meanwhile. Killed anywhere and called again, it goes on.

        Args:
            retention: by default the table's ``delta.deletedFileRetentionDuration``, else 7 days.
            log: clean the log too, as ``clean_log`` does by its own default.
            dry_run: remove nothing, and tell what would be.

        Raises:
            TableNotFoundError: nothing has been written yet.
            ConfigError: ``retention`` is not a duration.
            CommitConflictError: others pinned versions under every attempt.
        """
        report = vacuum(self._log, self._lake._pin_book, given=retention, dry_run=dry_run)
        if not log:
            return report
        return replace(report, log_files=self.clean_log(dry_run=dry_run))

    def clean_log(self, retention: timedelta | None = None, *, dry_run: bool = False) -> int:
        """Removes old commits from the log; the versions that need them cannot be read any more.

        Only commits before a checkpoint go, and only where no version that was the newest within
        the retention, and no pinned one, is read from them.

        Args:
            retention: by default the table's ``delta.logRetentionDuration``, else 30 days.
            dry_run: remove nothing.

        Returns:
            How many files of the log went, or would go.

        Raises:
            TableNotFoundError: nothing has been written yet.
            ConfigError: ``retention`` is not a duration.
        """
        return clean_log(self._log, self._lake._pin_book, given=retention, dry_run=dry_run)

    def checkpoint(self) -> int:
        """Writes a checkpoint of the newest version, from which it is opened faster.

        Commits write one every ``delta.checkpointInterval`` versions by themselves.

        Returns:
            The version.

        Raises:
            TableNotFoundError: nothing has been written yet.
        """
        with self._log.newest() as table:
            table.create_checkpoint()
            return int(table.version())

    def _after_write(self, version: int) -> None:
        after_write(self._log, self._look, version)

    def _look(self) -> Snapshot:
        return Snapshot(self._lake, self._log, pin(self._log, None))

    def _wanted(self, version: int | None, timestamp: datetime | None) -> int:
        if (version is None) == (timestamp is None):
            raise ConfigError("restore takes a version or a timestamp", (version, timestamp))
        if version is not None:
            if not isinstance(version, int) or isinstance(version, bool):
                raise ConfigError("a version is a whole number", version, None, "version")
            return version
        if not isinstance(timestamp, datetime):
            raise ConfigError(
                "a timestamp is a datetime", timestamp, "Naive ones are UTC.", "timestamp"
            )
        return self._log.at_time(timestamp)
