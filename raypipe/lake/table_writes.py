"""How a table changes by new data: rows are appended or replaced in one atomic step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.uris import join
from raypipe.lake.log.table_log import TableLog
from raypipe.lake.read.pin import pin
from raypipe.lake.read.snapshot import Snapshot
from raypipe.lake.table_base import TableBase
from raypipe.lake.write.ask import Ask, app_id
from raypipe.lake.write.previous import CHECKS
from raypipe.lake.write.writer import QUARANTINE, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.engine.parts import RunOn
    from raypipe.lake.outcome import Commit, Report
    from raypipe.lake.write.fused import Transform


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
        transform: Transform | None = None,
    ) -> Commit:
        """Adds rows in one atomic commit.

        With a ``batch_id`` the rows are added once, however often this is called, by however many
        processes, killed wherever: call it again until it returns.

        Args:
            data: a path or glob or a list of them (CSV, JSON lines, Parquet, ORC, Arrow), a polars
                frame, an object with an Arrow stream, a ``ray.data.Dataset`` or a ``Snapshot``.
                Paths and globs may be URIs of object stores (``s3://bucket/raw/*.csv``), which are
                reached with the lake's ``storage_options`` (a lake in a folder may have some too)
                or by the environment; each object is then one part, and is read whole.
            batch_id: names the batch.
            if_version: commit only if the newest version is exactly this one; -1: only if there is
                no table yet.
            allow_empty: a source without a row is no error.
            run_on: ``"local"`` (in this process, some parts at once in threads), ``"ray"``, or
                ``"auto"``: the cluster where it has more CPUs than this machine and there is enough
                to do. The choice is logged, and ``Commit.ran_on`` tells it.
            metadata: JSON to keep with the commit; ``history`` shows it.
            transform: what is made of the rows before anything else looks at them, as a function of
                one polars ``LazyFrame``. It is called once for each part of the data, so it must
                look at each row alone; types and expectations are those of its outcome. Of Parquet
                files and snapshots only the columns and rows are read that it needs. The columns of
                text files then have the types that their values tell. On the cluster it must
                pickle.

        Raises:
            SourceNotFoundError: a path is not there or a glob matches nothing.
            EmptySourceError: a file or a frame has no row.
            MalformedSourceError: a file does not parse; file and line are named.
            SchemaError: a column is missing, not known, or does not fit the table's type.
            ConfigError: a masked column comes from a ``Snapshot`` that holds its hashes under
                another key, or through a transform.
            ExpectationError: rows broke an expectation with ``on_fail="fail"``.
            CommitConflictError: ``if_version`` does not hold, or others came first many times.
            LakeAccessError: the lake cannot be written.
        """
        ask = Ask.of("append", batch_id, if_version, allow_empty, run_on, metadata, transform)
        return self._wrote(self._writer().write(data, ask))

    def overwrite(
        self,
        data: object,
        *,
        batch_id: str | None = None,
        if_version: int | None = None,
        allow_empty: bool = False,
        run_on: RunOn = "auto",
        metadata: Mapping[str, Any] | None = None,
        transform: Transform | None = None,
    ) -> Commit:
        """Puts rows in the place of all rows that the table has when it commits.

        Older versions stay readable. Arguments, guarantees and errors are those of ``append``.
        """
        ask = Ask.of("overwrite", batch_id, if_version, allow_empty, run_on, metadata, transform)
        return self._wrote(self._writer().write(data, ask))

    def check(
        self, data: object, *, run_on: RunOn = "auto", transform: Transform | None = None
    ) -> Report:
        """What ``append`` would come to, without writing anything.

        Raises:
            SourceError: the data cannot be read.
            SchemaError: it does not fit the table.
        """
        return self._writer().check(data, run_on, transform)

    def has_batch(self, batch_id: str) -> bool:
        """Whether a batch has been committed."""
        return self._log.has_transaction(app_id(batch_id))

    def _writer(self) -> Writer:
        for ending in (QUARANTINE, CHECKS):
            if self.name.endswith(ending):
                raise ConfigError(
                    f"tables whose names end in {ending} are written by raypipe only",
                    self.name,
                    f"Write to {self.name.removesuffix(ending)!r}, or choose another name.",
                    "name",
                )
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
