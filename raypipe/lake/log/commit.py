"""The one door through which a table changes: a compare-and-swap on its log.

Each try starts from a fresh look at the log, decides everything from that one view, and puts its
entry in the place of the next version if no entry is there. Who comes second decides anew. The
entry is written here and not by Delta's library, which validates none of this: a second use of a
batch id, a schema that differs, a removal of files that are gone already are all accepted by it.
"""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    LakeAccessError,
    RaypipeError,
    SchemaError,
)
from raypipe.core.faults import fault_point
from raypipe.lake.log import conflict, entry
from raypipe.lake.log.change import (
    RESTORE,
    Change,
    Committed,
    FilesMoved,
    ReadSet,
    Refused,
    SchemaMoved,
    version_conflict,
)
from raypipe.lake.log.checkpoint import checkpoint, due
from raypipe.lake.log.create import create, metadata_action
from raypipe.lake.log.damage import foreign
from raypipe.lake.log.protocol import (
    Protocol,
    fits,
    refuse_unwritable,
    upgraded,
    why_not_evolve,
)
from raypipe.lake.log.table_log import TableLog, our_part
from raypipe.lake.log.vectors import deletion_vectors
from raypipe.lake.schema.spec import TableSpec, schema_string
from raypipe.lake.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Change",
    "Committed",
    "FilesMoved",
    "ReadSet",
    "Refused",
    "SchemaMoved",
    "commit",
    "version_conflict",
]

_TRIES = 60
_CHECK_AGAIN_S = 60.0
_STUCK_TRIES = 5
_LONGEST_WAIT_S = 0.5


def commit(log: TableLog, change: Change) -> Committed:
    """Makes a change once.

    With an ``app_id`` a change that was made before is not made again; without one, a call that
    failed with anything but the errors below that say so may have committed.

    Raises:
        CommitConflictError: ``if_version`` does not hold, or others came first many times; nothing
            was committed.
        SchemaMoved: the table is not what the files were written for; nothing was committed.
        FilesMoved: a file to be removed is gone, or rows came that the decision did not know;
            nothing was committed.
        ConfigError, SchemaError: the table allows no such change; nothing was committed.
        LakeError: a file is not there as it was written; nothing was committed.
        LakeAccessError: the log cannot be written.
        Refused: the change cannot be put into an entry; nothing was committed.
    """
    expected, stuck = change.if_version, 0
    asked: int | None = None  # a version whose entry may be ours: no answer told
    _check_files(log, change)
    checked = time.monotonic()
    for attempt in range(_TRIES):
        if time.monotonic() - checked > _CHECK_AGAIN_S:  # a vacuum may have come meanwhile
            _check_files(log, change)
            checked = time.monotonic()
        try:
            if log.version_or_none() is None:
                create(log, change)
                expected = 0 if expected == -1 else expected
            with log.newest(raw=True) as table:
                version = int(table.version())
                if asked is not None and version >= asked:
                    late = _ours(log, change, asked)
                    if late is not None:
                        return late
                done, error = _Try(log, table, change).run(expected)
        except (RaypipeError, SchemaMoved, FilesMoved):
            raise
        except BaseException as why:
            if not foreign(why):
                raise
            if attempt == 0:  # later, an earlier try may still be on its way
                raise Refused(_reason(why)) from why
            raise LakeAccessError(f"table {log.name!r} cannot be committed to") from why
        if done is not None:
            return done
        # The answer may have been lost on its way: whose commit is the next version?
        ours = _ours(log, change, version + 1)
        if ours is not None:
            return ours
        asked = asked if error is None else version + 1
        stuck = stuck + 1 if log.version() == version else 0
        if stuck >= _STUCK_TRIES:
            raise LakeAccessError(
                f"table {log.name!r} cannot be committed to", _reason(error)
            ) from error
        wait = min(_LONGEST_WAIT_S, 0.005 * 2 ** min(attempt, 10))
        time.sleep(wait * random.uniform(0.2, 1.0))
    raise CommitConflictError(
        f"other writers of table {log.name!r} came first {_TRIES} times",
        None,
        "Nothing was committed. Append again with the same batch_id.",
    )


def _ours(log: TableLog, change: Change, version: int) -> Committed | None:
    """The commit of a version, if it is of this change."""
    noted = our_part(log.commit_info(version))
    mine = change.attempt and noted.get("attempt") == change.attempt
    return Committed(version, noted) if mine else None


def _reason(error: BaseException | None) -> str:
    return str(error).split("\n", 1)[0]


def _check_files(log: TableLog, change: Change) -> None:
    files = (*change.files, *change.change_files)
    if files:
        store, paths = open_store(log.uri, log.options), [file.path for file in files]
        # Before the entry that names them: else a power cut could leave a commit without its files.
        store.keep_names(paths)
        conflict.check_files(change, store.sizes(paths), log.name)


class _Try:
    """One try, from one view of the table."""

    def __init__(self, log: TableLog, table: Any, change: Change) -> None:
        self.log = log
        self.table = table
        self.change = change
        self.version = int(table.version())
        self.spec: TableSpec = log.spec(table)
        self.protocol = Protocol.of(table)

    def run(self, expected: int | None) -> tuple[Committed | None, BaseException | None]:
        """What was committed; nothing, and the failure if there was one, when others came first."""
        before = self._applied()
        if before is not None:
            return before, None
        if expected is not None and self.version != expected:
            raise version_conflict(self.log, expected, self.version)
        self._validate()
        gone = self._gone()
        stamp, noted = self._noted()
        if self.change.replaces and gone is None and self._marked():
            # It is there under other names, since someone rewrote the files.
            return Committed(self.version, noted, applied_before=True), None
        return self._publish(self._actions(stamp, noted, gone), noted)

    def _marked(self) -> bool:
        app = self.change.app_id
        version = None if app is None else self.log.transaction_in(self.table, app)
        if version is None:
            return False
        # Who took its files back left the mark without one: they may come again.
        return self.log.added_between(version - 1, version) != set()

    def _applied(self) -> Committed | None:
        change = self.change
        if change.app_id is None or change.replaces:
            return None
        version = self.log.transaction_in(self.table, change.app_id)
        if version is None:
            return None
        noted = our_part(self.log.commit_info(version))
        return Committed(version, noted, applied_before=noted.get("attempt") != change.attempt)

    def _validate(self) -> None:
        change, name = self.change, self.log.name
        if change.spec.partition_by != self.spec.partition_by:
            raise SchemaError(
                f"table {name!r} is partitioned otherwise",
                f"{list(change.spec.partition_by)}, but the table has "
                f"{list(self.spec.partition_by)}",
                "Leave partition_by out, or name the table's own.",
                "partition_by",
            )
        if change.evolve is None:
            if not fits(change.spec, self.spec):
                raise SchemaMoved
        else:
            if change.spec != self.spec:
                raise SchemaMoved
            # The files that a restore leaves in the table are of the spec that it goes back to.
            fits_all = change.remove == "all" or change.operation == RESTORE
            reason = why_not_evolve(self.spec, change.evolve, all_replaced=fits_all)
            if reason:
                raise ConfigError(f"table {name!r} cannot change so", reason)
        refuse_unwritable(name, self.protocol, self.spec)
        if self.spec.append_only and change.removes and change.data_change:
            raise ConfigError(
                f"table {name!r} takes no change of the rows that it has", "delta.appendOnly"
            )

    def _gone(self) -> pl.DataFrame | None:
        """The files that leave the table, after a look at what came since the decision."""
        change = self.change
        if change.read is not None and change.read.version < self.version:
            added = self.log.added_between(change.read.version, self.version)
            active = pl.DataFrame()
            if added and change.read.where is not None:
                active = pl.DataFrame(self.table.get_add_actions(flatten=True))
            conflict.check_read(change.read, added, active, self.spec.types)
        if not change.removes:
            return None
        gone = conflict.removed(pl.DataFrame(self.table.get_add_actions()), change)
        return gone if gone.height else None

    def _noted(self) -> tuple[int, dict[str, Any]]:
        # Files are read in the order of their commits, and the log keeps no other mark of that
        # order: so this grows from commit to commit even where clocks of two machines differ.
        last = self.log.commit_info(self.version) or {}
        stamp = max(
            time.time_ns() // 1_000_000,
            int(last.get("timestamp", 0)) + 1,
            int(our_part(last).get("stamp", 0)) + 1,
        )
        return stamp, {**self.change.noted, "attempt": self.change.attempt, "stamp": stamp}

    def _actions(
        self, stamp: int, noted: Mapping[str, Any], gone: pl.DataFrame | None
    ) -> Iterator[entry.Action]:
        change = self.change
        mode = "Overwrite" if change.remove == "all" else "Append"
        parts = json.dumps(list(self.spec.partition_by))
        yield entry.commit_info(
            change.operation,
            stamp,
            noted,
            parameters={"mode": mode, "partitionBy": parts} if change.operation == "WRITE" else {},
            read_version=self.version,
        )
        if change.evolve is not None:
            protocol = upgraded(self.protocol, change.evolve)
            if protocol != self.protocol:
                yield protocol.action()
            yield self._metadata(change.evolve)
        if gone is not None:
            yield from self._removals(gone, stamp)
        for file in change.files:
            own = file.stamp if change.keep_stamps and file.stamp is not None else stamp
            yield entry.add(file, own, data_change=change.data_change)
        for file in change.change_files:
            yield entry.cdc(file)
        if change.app_id:
            # The version of the transaction is the commit's own: later it tells where to look up
            # what the first application of a batch came to.
            yield entry.transaction(change.app_id, self.version + 1, stamp)

    def _metadata(self, then: TableSpec) -> entry.Action:
        now = self.table.metadata()
        known = {
            "id": str(now.id),
            "name": now.name,
            "description": now.description,
            "createdTime": now.created_time,
        }
        kept = {key: value for key, value in known.items() if value is not None}
        return metadata_action(then, schema_string(then, self.table.schema().to_json()), kept)

    def _removals(self, gone: pl.DataFrame, stamp: int) -> Iterator[entry.Action]:
        vectors: Mapping[str, Any] = {}
        if "deletionVectors" in self.protocol.features:
            vectors = deletion_vectors(self.log, self.version, set(gone["path"]))
        values = gone["partition"].to_list() if "partition" in gone.columns else [{}] * gone.height
        for path, size, partition in zip(gone["path"], gone["size_bytes"], values, strict=True):
            yield entry.remove(
                path,
                size,
                {name: entry.partition_text(value) for name, value in partition.items()},
                stamp,
                data_change=self.change.data_change,
                deletion_vector=vectors.get(path),
            )

    def _publish(
        self, actions: Iterator[entry.Action], noted: Mapping[str, Any]
    ) -> tuple[Committed | None, BaseException | None]:
        points, version = self.change.points, self.version + 1
        data = entry.entry(actions)
        if points:
            fault_point(f"{points}:before-commit")
        try:
            if not open_store(self.log.uri, self.log.options).put_new(
                entry.entry_name(version), data
            ):
                return None, None
        except BaseException as error:
            if not foreign(error):
                raise
            return None, error
        if points:
            fault_point(f"{points}:after-commit")
        if due(version, self.change.evolve or self.spec):
            checkpoint(self.log, self.table)
        return Committed(version, noted), None
