"""A table of the lake: rows are appended or replaced in one atomic step, and read by version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.markup import html_table
from raypipe.lake.log.table_log import our_part
from raypipe.lake.options import TableOptions
from raypipe.lake.read.changes import Changes, changes
from raypipe.lake.read.pin import pin
from raypipe.lake.read.snapshot import Snapshot
from raypipe.lake.table_changes import TableChanges
from raypipe.lake.table_upkeep import TableUpkeep
from raypipe.lake.write.ask import is_version
from raypipe.lake.write.previous import CHECKS
from raypipe.lake.write.writer import QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

_KEPT = 4  # versions that a table keeps in memory, those last asked for


class Table(TableChanges, TableUpkeep):
    """A Delta table. Any engine that reads Delta can read it.

    A write is one atomic step: a reader sees all of it or nothing, and a write that failed or was
    killed left nothing that a reader sees. Writers may run at once, in any number of processes.
    """

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Columns and polars types of the newest version.

        Raises:
            TableNotFoundError: nothing has been written yet.
        """
        return self.at().schema

    def at(self, version: int | None = None, timestamp: datetime | None = None) -> Snapshot:
        """The table as it was at a version or a time (a naive one is UTC); by default as it is now.

        Raises:
            TableNotFoundError: nothing has been written yet.
            VersionNotFoundError: there is no such version, or the table is younger.
            ConfigError: both are given, or one is not a whole number or a ``datetime``.
        """
        if version is not None and not is_version(version):
            raise ConfigError("a version is a whole number", version, None, "version")
        if timestamp is not None and not isinstance(timestamp, datetime):
            raise ConfigError(
                "a timestamp is a datetime", timestamp, "Naive ones are UTC.", "timestamp"
            )
        if version is not None and timestamp is not None:
            raise ConfigError("at takes a version or a timestamp", (version, timestamp))
        with self._lock:
            if timestamp is not None:
                version = self._log.at_time(timestamp)
            newest = self._log.version()
            wanted = newest if version is None else version
            found = self._pinned.pop(wanted, None)
            if found is None:
                found = pin(self._log, None if wanted == newest else wanted)
            self._pinned[found.version] = found
            while len(self._pinned) > _KEPT:
                del self._pinned[next(iter(self._pinned))]
            return Snapshot(self._lake, self._log, found)

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The commits, newest first.

        Each is a dict with ``version``, ``at`` (naive UTC), ``kind``, ``rows``, ``rows_in``,
        ``quarantined``, ``dropped``, ``batch_id``, ``metadata`` and ``sources``; for a commit of
        another engine the kind is its operation and the other fields are None.

        Raises:
            TableNotFoundError: nothing has been written yet.
        """
        with self._log.newest() as table:
            return [_entry(info) for info in table.history(limit)]

    def changes(self, since: int, until: int | None = None) -> Changes:
        """The rows that changed after version ``since``, up to and with version ``until``.

        So a reader that has seen version 7 goes on with ``changes(since=7)``; -1 begins with the
        rows that the table was made with. See ``Changes`` for the columns and the rules.

        Raises:
            TableNotFoundError: nothing has been written yet.
            ConfigError: the versions are no whole numbers, or in the wrong order.
            VersionNotFoundError: a version is not there, or its log entry was cleaned away; the
                message names the oldest that is there.
            LakeError: a log entry is damaged.
        """
        return changes(self._log, since, until)

    def quarantine(self) -> Table:
        """The table of the rows that were refused: the same columns, ``_reasons`` (the names of
        the expectations that they broke) and ``_batch``. It exists once a row was refused.
        """
        return Table(self._lake, self.name + QUARANTINE, TableOptions())

    def checks(self) -> Table:
        """The table of what each expectation came to in each commit: ``version``, ``batch_id``,
        ``at`` (naive UTC), ``expectation``, ``on_fail``, ``failed`` (rows, or 1), ``rows`` judged,
        ``rows_in``, ``value`` or ``value_text`` (of a figure), ``low``, ``high`` and ``note``.

        It exists once a write with expectations was committed, unless the table's property
        ``raypipe.checks`` is false.
        """
        return Table(self._lake, self.name + CHECKS, TableOptions())

    def _facts(self) -> list[tuple[str, object]]:
        facts: list[tuple[str, object]] = [("name", self.name), ("uri", self.uri)]
        if not self.exists:
            return [*facts, ("version", "not written yet")]
        now = self.at()
        return [
            *facts,
            ("version", now.version),
            ("rows", now.count()),
            ("columns", len(now.schema)),
        ]

    def __repr__(self) -> str:
        return "Table(" + ", ".join(f"{k}={v}" for k, v in self._facts()) + ")"

    def _repr_html_(self) -> str:
        return html_table(("table", ""), self._facts())


def _entry(info: Mapping[str, Any]) -> dict[str, Any]:
    ours = our_part(info)
    names: Sequence[str] = (
        "rows", "rows_in", "quarantined", "dropped", "batch_id", "metadata", "sources",
    )  # fmt: skip
    at = datetime.fromtimestamp(info["timestamp"] / 1000, UTC).replace(tzinfo=None)
    kind = ours.get("kind", info.get("operation"))
    return {
        "version": int(info["version"]),
        "at": at,
        "kind": kind,
        **{n: ours.get(n) for n in names},
    }
