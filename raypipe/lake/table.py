"""A table of the lake: rows are appended or replaced in one atomic step, and read by version."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, TableNotFoundError
from raypipe.core.uris import join
from raypipe.lake.log.table_log import TableLog, our_part
from raypipe.lake.outcome import Commit, Report, html_table
from raypipe.lake.read.snapshot import Pinned, Snapshot, pin
from raypipe.lake.write.writer import QUARANTINE, Ask, Writer, app_id, is_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from raypipe.engine.parts import RunOn
    from raypipe.lake.lake import Lake
    from raypipe.lake.quality.expect import Expectation


class Table:
    """A Delta table. Any engine that reads Delta can read it.

    A write is one atomic step: a reader sees all of it or nothing, and a write that failed or was
    killed left nothing that a reader sees. Writers may run at once, in any number of processes.
    """

    def __init__(
        self,
        lake: Lake,
        name: str,
        expect: tuple[Expectation, ...] = (),
        partition_by: tuple[str, ...] = (),
    ) -> None:
        """Made by ``Lake.table``."""
        self._lake = lake
        self._log = TableLog(name, join(lake.root, name), lake.storage_options)
        self._expect = expect
        self._partition_by = partition_by
        self._last: Pinned | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return (Table, (self._lake, self.name, self._expect, self._partition_by))

    @property
    def name(self) -> str:
        """The table's name."""
        return self._log.name

    @property
    def uri(self) -> str:
        """The table's folder or URI, for other engines."""
        return self._log.uri

    @property
    def exists(self) -> bool:
        """Whether the table has been written."""
        try:
            self.version()
        except TableNotFoundError:
            return False
        return True

    def version(self) -> int:
        """The newest version; cheap enough to be polled several times a second.

        Version 0 is the making of the table, without a row; the first write is version 1.

        Raises:
            TableNotFoundError: nothing has been written yet.
        """
        with self._lock:
            return self._log.version()

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Columns and polars types of the newest version.

        Raises:
            TableNotFoundError: nothing has been written yet.
        """
        return self.at().schema

    def append(
        self,
        data: object,
        *,
        batch_id: str | None = None,
        if_version: int | None = None,
        allow_empty: bool = False,
        run_on: RunOn = "auto",
        metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Adds rows in one atomic commit.

        With a ``batch_id`` the rows are added once, however often this is called, by however many
        processes, killed wherever: call it again until it returns.

        Args:
            data: a path or glob or a list of them (CSV, JSON lines, Parquet), a polars frame, an
                object with an Arrow stream, a ``ray.data.Dataset`` or a ``Snapshot``.
            batch_id: names the batch.
            if_version: commit only if the newest version is exactly this one; -1: only if there is
                no table yet.
            allow_empty: a source without a row is no error.
            run_on: ``"local"``, ``"ray"``, or ``"auto"`` by size.
            metadata: JSON to keep with the commit; ``history`` shows it.

        Raises:
            SourceNotFoundError: a path is not there or a glob matches nothing.
            EmptySourceError: a file or a frame has no row.
            MalformedSourceError: a file does not parse; file and line are named.
            SchemaError: a column is missing, not known, or does not fit the table's type.
            ExpectationError: rows broke an expectation with ``on_fail="fail"``.
            CommitConflictError: ``if_version`` does not hold, or others came first many times.
            LakeAccessError: the lake cannot be written.
        """
        ask = Ask.of("append", batch_id, if_version, allow_empty, run_on, metadata)
        return self._writer().write(data, ask)

    def overwrite(
        self,
        data: object,
        *,
        batch_id: str | None = None,
        if_version: int | None = None,
        allow_empty: bool = False,
        run_on: RunOn = "auto",
        metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Puts rows in the place of all rows that the table has when it commits.

        Older versions stay readable. Arguments, guarantees and errors are those of ``append``.
        """
        ask = Ask.of("overwrite", batch_id, if_version, allow_empty, run_on, metadata)
        return self._writer().write(data, ask)

    def check(self, data: object, *, run_on: RunOn = "auto") -> Report:
        """What ``append`` would come to, without writing anything.

        Raises:
            SourceError: the data cannot be read.
            SchemaError: it does not fit the table.
        """
        return self._writer().check(data, run_on)

    def has_batch(self, batch_id: str) -> bool:
        """Whether a batch has been committed."""
        return self._log.has_transaction(app_id(batch_id))

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
            if self._last is None or self._last.version != wanted:
                self._last = pin(self._log, None if wanted == newest else wanted)
            return Snapshot(self._lake, self._log, self._last)

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

    def quarantine(self) -> Table:
        """The table of the rows that were refused: the same columns, ``_reasons`` (the names of
        the expectations that they broke) and ``_batch``. It exists once a row was refused.
        """
        return Table(self._lake, self.name + QUARANTINE)

    def _writer(self) -> Writer:
        return Writer(
            self._lake.root, self._log, self.quarantine()._log, self._expect, self._partition_by
        )

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
