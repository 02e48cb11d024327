"""The Delta log of one table: opening it at a version, and refusing what we would read wrongly."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import (
    LakeAccessError,
    LakeError,
    RaypipeError,
    SourceNotFoundError,
    TableNotFoundError,
    VersionNotFoundError,
)
from raypipe.core.uris import is_local
from raypipe.lake.log.damage import damage_of, foreign, refuse_empty
from raypipe.lake.log.entry import META, actions_of, entry_name
from raypipe.lake.log.readable import why_unreadable
from raypipe.lake.schema.spec import TableSpec, spec_of
from raypipe.lake.storage.failures import denied, unreachable
from raypipe.lake.storage.keys import for_delta
from raypipe.lake.storage.patience import waited
from raypipe.lake.storage.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class TableLog:
    """One table's log. Cheap to make; finding the newest version of a local table costs
    microseconds, in an object store one listing, since only the names after the last one seen are
    looked for.
    """

    def __init__(self, name: str, uri: str, storage_options: Mapping[str, str] | None) -> None:
        self.name = name
        self.uri = uri
        self.options = dict(storage_options) if storage_options else None
        self._seen = -1
        self._kept: Any = None
        self._absent = ("", -1)
        self._hint = (0, -1)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.name, self.uri, self.options))

    def version(self) -> int:
        """The newest version.

        Raises:
            TableNotFoundError: there is no table.
        """
        found = self._local_version() if is_local(self.uri) else self._remote_version()
        if found < 0:
            raise self.not_found()
        return found

    def version_or_none(self) -> int | None:
        """The newest version, or None when there is no table."""
        try:
            return self.version()
        except TableNotFoundError:
            return None

    def transaction(self, app_id: str) -> int | None:
        """The version of a transaction, or None when there was none or there is no table."""
        if self.version_or_none() is None:
            return None
        with self.newest() as table:
            return self.transaction_in(table, app_id)

    def transaction_in(self, table: Any, app_id: str) -> int | None:
        """The version of a transaction in an open ``DeltaTable``, or None when there was none.

        The library looks through the whole log each time. What it did not find at one version is
        looked for in the entries since then alone: a write looks when it begins and when it
        commits.
        """
        version = int(table.version())
        asked, looked = self._absent
        marks = None
        if asked == app_id and 0 <= looked <= version:
            marks = self._marks_between(looked, version)
        found = self._looked_up(table, app_id) if marks is None else marks.get(app_id)
        if found is None:
            self._absent = (app_id, version)
        return None if found is None else int(found)

    def _looked_up(self, table: Any, app_id: str) -> int | None:
        from deltalake.exceptions import DeltaError

        try:
            found: int | None = table.transaction_version(app_id)
        except (OSError, DeltaError) as error:
            if "not found" not in str(error).lower():
                raise
            # An open table goes on with the entries it was opened from, which were cleaned away
            # since: a checkpoint holds what they said. What one newer says is true here, too.
            found = self.open().transaction_version(app_id)
        return found

    def has_transaction(self, app_id: str) -> bool:
        """Whether a transaction was committed."""
        return self.transaction(app_id) is not None

    def not_found(self) -> TableNotFoundError:
        """The error for a table that is not there."""
        return TableNotFoundError(
            f"there is no table {self.name!r}", self.uri, "Write it first with append().", "table"
        )

    def _local_version(self) -> int:
        folder = Path(self.uri) / "_delta_log"
        # Counted apart from the attribute, which other threads read and set meanwhile.
        seen = self._seen
        lost = seen < self._hinted(folder) and not (folder / f"{seen + 1:020d}.json").exists()
        if seen < 0 or lost or not (folder / f"{seen:020d}.json").exists():
            # Cleaned logs start late, and a table may have been made anew: look at all names.
            try:
                names = [path.name for path in folder.iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                names = []
            except PermissionError as error:
                raise self._denied(error) from error
            seen = max(_versions(names), default=-1)
        else:
            while (folder / f"{seen + 1:020d}.json").exists():
                seen += 1
        self._seen = seen
        return seen

    def _hinted(self, folder: Path) -> int:
        """The version of the last checkpoint. The entry after the one seen last may be cleaned away
        while that one stays, for a pin; there is a checkpoint after each such gap.
        """
        path = f"{folder}/_last_checkpoint"
        try:
            at = os.stat(path).st_mtime_ns  # noqa: PTH116 - half the time of Path.stat
            if at != self._hint[0]:
                self._hint = (at, int(json.loads(Path(path).read_bytes())["version"]))
        except (OSError, ValueError, KeyError, TypeError):  # Delta's readers go on without it, too
            return -1
        return self._hint[1]

    def _remote_version(self) -> int:
        """One listing that starts at the version seen last: no log entry is read."""
        store = open_store(self.uri, self.options)
        seen = self._seen
        found = _versions(store.newer("_delta_log", f"{seen:020d}.json")) if seen >= 0 else []
        if seen not in found:  # never seen, or cleaned away, or the table was made anew
            found = _versions(store.newer("_delta_log", ""))
        self._seen = max(found, default=-1)
        return self._seen

    @contextmanager
    def newest(self, *, raw: bool = False) -> Iterator[Any]:
        """The ``DeltaTable`` at its newest version, for this thread alone until the block ends.

        One is kept from block to block, for following a log costs a tenth of reading it.

        Args:
            raw: what the library raises in the block comes as it is, and not as the errors below.

        Raises:
            TableNotFoundError: there is no table.
            LakeError: the log is damaged, or the table uses a feature that would be read wrongly.
            LakeAccessError: the log cannot be reached.
        """
        with self._lock:
            table, self._kept = self._kept, None
        before = -1 if table is None else int(table.version())
        now = -1 if table is None else self.version()
        if table is None or now < before:  # no table yet, or another one in its place
            self._absent = ("", -1)
            table = self.open()
        elif now > before:
            try:
                self.follow(table)
            except BaseException as error:
                if not foreign(error) or isinstance(error, RaypipeError):
                    raise
                table = self.open()  # the same failure comes again, with its reason
        if raw:
            yield table
        else:
            with self.guarded():
                yield table
        with self._lock:
            self._kept = table

    def follow(self, table: Any) -> None:
        """Takes an open ``DeltaTable`` to the newest version."""
        before = int(table.version())
        waited(table.update_incremental, self.uri, self.options)
        self._refuse_unreadable(table, before)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What the library raises in the block, even a panic of Rust, comes as an error of ours.

        Raises:
            LakeError: the log is damaged.
            LakeAccessError: it cannot be reached.
        """
        from deltalake.exceptions import DeltaError

        try:
            yield
        except RaypipeError:
            raise
        except OSError as error:
            raise self._denied(error) from error
        except DeltaError as error:
            raise self._broken(error) from error
        except BaseException as error:
            if isinstance(error, Exception) or not foreign(error):
                raise
            raise self._broken(error) from error

    def open(self, version: int | None = None) -> Any:
        """The ``DeltaTable`` at a version, the newest one by default.

        Raises:
            TableNotFoundError: there is no table.
            VersionNotFoundError: the table has no such version, or its log was cleaned.
            LakeError: the table uses a feature that would be read wrongly here.
        """
        from deltalake.exceptions import TableNotFoundError as Missing

        newest = None
        if version is not None:
            newest = self.version()
            if not 0 <= version <= newest:
                raise self.no_version(version, newest)
        try:
            table = self._open(version)
        except Missing:
            if version is None:
                raise self.not_found() from None
            raise self.no_version(version, newest) from None  # its log entries were cleaned away
        except BaseException as error:
            if isinstance(error, RaypipeError) or not foreign(error):
                raise
            if version is None or self._entry(version) is not None:
                raise self._broken(error) from error
            raise self.no_version(version, newest) from error
        self._refuse_unreadable(table)
        return table

    def _open(self, version: int | None, **settings: Any) -> Any:
        from deltalake import DeltaTable

        options = for_delta(self.uri, self.options)

        def opened() -> Any:
            return DeltaTable(self.uri, version=version, storage_options=options, **settings)

        try:
            return waited(opened, self.uri, self.options)
        except OSError as error:
            raise self._denied(error) from error

    def _denied(self, error: BaseException) -> LakeAccessError:
        if not is_local(self.uri):
            return denied(self.uri, error)  # a client's message may hold a signed URL
        reason = str(error).split("\n", 1)[0]
        return LakeAccessError(f"table {self.name!r} cannot be reached", f"{self.uri}: {reason}")

    def _broken(self, error: BaseException) -> RaypipeError:
        """What a failure of the library means: the place does not serve, or the log is damaged."""
        if not is_local(self.uri) and unreachable(error):
            return self._denied(error)
        return self._damaged(error)

    def no_version(self, version: object, newest: int | None) -> VersionNotFoundError:
        """The error for a version that is not there."""
        return VersionNotFoundError(
            f"table {self.name!r} has no such version",
            version,
            f"Its newest is {newest}.",
            "version",
        )

    def at_time(self, when: datetime) -> int:
        """The version that was newest at a time (a naive one is UTC).

        Raises:
            TableNotFoundError: there is no table.
            VersionNotFoundError: the table is younger than that.
        """
        limit = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
        newest = self.version()
        with self.newest() as table:
            commits = table.history()
        for info in commits:
            if info["timestamp"] <= limit:
                return int(info["version"])
        raise self.no_version(when.isoformat(), newest)

    def _damaged(self, error: BaseException) -> LakeError:
        """The error for a log that cannot be read: with the file that is wrong, if one is."""
        found = damage_of(open_store(self.uri, self.options))
        what = f"the log of table {self.name!r} cannot be read"
        if found is None:
            return LakeError(what, f"{self.uri}: {str(error).splitlines()[0]}")
        return LakeError(what, f"{self.uri}: {found[0]}", found[1])

    def _refuse_unreadable(self, table: Any, seen: int = -1) -> None:
        if is_local(self.uri):
            refuse_empty(self.name, self.uri, seen, int(table.version()))
        bad = why_unreadable(
            set(table.protocol().reader_features or ()),
            table.metadata().configuration,
            table.schema().to_json(),
        )
        if bad:
            raise LakeError(
                f"table {self.name!r} would be read wrongly",
                bad,
                "Rewrite it without that feature with the engine that made it.",
            )

    @staticmethod
    def spec(table: Any) -> TableSpec:
        """What an open ``DeltaTable`` is: columns, partitions, properties."""
        return spec_of(table)

    def commit_info(self, version: int) -> dict[str, Any] | None:
        """What the commit of a version says of itself; None when its log file is not there.

        Raises:
            LakeError: the log file is damaged.
        """
        found = self._actions(version, "commitInfo", limit=1)
        return None if found is None else next(iter(found), {})

    def added_between(self, since: int, until: int) -> set[str] | None:
        """The paths, as the log spells them, of the files that brought rows after one version, up
        to another; files that were only rewritten are left out. None when a log file is gone.

        Raises:
            LakeError: a log file is damaged.
        """
        found: set[str] = set()
        for version in range(since + 1, until + 1):
            adds = self._actions(version, "add")
            if adds is None:
                return None
            found.update(add["path"] for add in adds if add.get("dataChange", True))
        return found

    def _marks_between(self, since: int, until: int) -> dict[str, int] | None:
        """The transactions that came after one version, up to another; None when a log file is
        gone.
        """
        found: dict[str, int] = {}
        for version in range(since + 1, until + 1):
            marks = self._actions(version, "txn")
            if marks is None:
                return None
            found.update((mark["appId"], mark["version"]) for mark in marks)
        return found

    def _actions(
        self, version: int, kind: str, limit: int | None = None
    ) -> list[dict[str, Any]] | None:
        """The first actions of one kind in a log file; None when it is not there."""
        data = self._entry(version)
        if data is None:
            return None
        try:
            return list(islice(actions_of(data, kind), limit))
        except ValueError as error:
            raise self._damaged(error) from error

    def _entry(self, version: int) -> bytes | None:
        store: Store = open_store(self.uri, self.options)
        try:
            return store.get(entry_name(version))
        except SourceNotFoundError:
            return None


def _versions(names: Iterable[str]) -> list[int]:
    return [int(n[:20]) for n in names if n[:20].isdigit() and n[20:] == ".json"]


def our_part(info: Mapping[str, Any] | None) -> dict[str, Any]:
    """What raypipe itself noted in a commit; empty for a commit of another engine."""
    noted = (info or {}).get(META)
    return dict(noted) if isinstance(noted, dict) else {}
