"""What all methods of a table stand on: its place, its log and what it is asked to be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import TableNotFoundError
from raypipe.core.uris import join
from raypipe.lake.log.table_log import TableLog

if TYPE_CHECKING:
    from raypipe.lake.lake import Lake
    from raypipe.lake.options import TableOptions
    from raypipe.lake.outcome import Commit
    from raypipe.lake.read.pin import Pinned


class TableBase:
    """A name in a lake, and the log that lies there."""

    def __init__(
        self,
        lake: Lake,
        name: str,
        options: TableOptions,
    ) -> None:
        """Made by ``Lake.table``."""
        self._lake = lake
        self._log = TableLog(name, join(lake.root, name), lake.storage_options)
        self._options = options
        self._pinned: dict[int, Pinned] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._lake, self.name, self._options))

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

    def _wrote(self, done: Commit) -> Commit:
        """What a write came to, after what the table itself does about it."""
        if not done.applied_before:
            self._after_write(done.version)
        return done

    def _after_write(self, version: int) -> None:
        """Runs in the writer once its commit is there; must not raise."""
