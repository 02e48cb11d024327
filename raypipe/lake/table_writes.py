"""How a table changes by new data: rows are appended or replaced in one atomic step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.uris import join
from raypipe.lake.log.table_log import TableLog
from raypipe.lake.read.pin import pin
from raypipe.lake.read.snapshot import Snapshot
from raypipe.lake.table_base import TableBase
from raypipe.lake.write.writer import QUARANTINE, Ask, Writer, app_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.engine.parts import RunOn
    from raypipe.lake.outcome import Commit, Report


class TableWrites(TableBase):
    """The methods that write rows."""

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

    def _writer(self) -> Writer:
        refused = self.name + QUARANTINE
        return Writer(
            self._lake.root,
            self._log,
            TableLog(refused, join(self._lake.root, refused), self._lake.storage_options),
            self._options,
            self._rows,
        )

    def _rows(self, name: str) -> Snapshot:
        log = TableLog(name, join(self._lake.root, name), self._lake.storage_options)
        return Snapshot(self._lake, log, pin(log, None))
