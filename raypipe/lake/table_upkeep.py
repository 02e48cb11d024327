"""How a table is kept in shape: what nobody needs is removed, its log stays short."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from raypipe.lake.table_base import TableBase
from raypipe.lake.upkeep.vacuum import clean_log, vacuum

if TYPE_CHECKING:
    from datetime import timedelta

    from raypipe.lake.upkeep.report import VacuumReport


class TableUpkeep(TableBase):
    """The methods that change no row."""

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
        may be about to commit it: no write may take longer than that.

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
