"""The one door through which a table changes: a compare-and-swap on its log.

Delta's own library validates none of this: a second use of a batch id, a schema that differs, a
removal of files that are gone already are all accepted by it, and its retries hide conflicts. So
each try starts from a fresh look at the log, decides everything from that one view, and commits
from it with no retry of the library's own. Who comes second decides anew.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    LakeAccessError,
    RaypipeError,
    SchemaError,
)
from raypipe.core.faults import fault_point
from raypipe.lake.log.table_log import TableLog, our_part
from raypipe.lake.schema.spec import TableSpec, delta_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.log.written import WrittenFile

_TRIES = 60
_STUCK_TRIES = 5
_LONGEST_WAIT_S = 0.5
_ADD, _MANY = "append", "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit is to do.

    Attributes:
        files: files to add, which lie in the table's folder already.
        spec: what the writer saw of the table and wrote them for, or, when the table is made by
            this commit, what it is to be.
        remove: ``"all"`` files, those whose names start with a prefix, or None.
        app_id: the transaction this change is; the same one never happens twice.
        replaces: a second change with the same ``app_id`` takes the place of the first, as long as
            files of the first are there.
        if_version: commit only on this newest version; -1: only if there is no table.
        noted: what the commit keeps of itself, JSON.
        attempt: unique to the attempt.
        points: prefix of the fault points, for tests; None passes none.
    """

    files: tuple[WrittenFile, ...]
    spec: TableSpec
    remove: str | None = None
    app_id: str | None = None
    replaces: bool = False
    if_version: int | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)
    attempt: str = ""
    points: str | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """What came of a change: its version, and what that version's commit noted."""

    version: int
    noted: Mapping[str, Any]
    applied_before: bool = False


class SchemaMoved(Exception):  # noqa: N818
    """The table was made by another writer, with other types, while files were written."""


class Refused(Exception):  # noqa: N818
    """Delta's library failed in a way of its own, and for certain committed nothing."""


def _foreign(error: BaseException) -> bool:
    """Whether it is a library's failure; a panic of Rust is one, though no ``Exception``."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def commit(log: TableLog, change: Change) -> Committed:
    """Makes a change once.

    Raises:
        CommitConflictError: ``if_version`` does not hold, or others came first many times.
        SchemaMoved: the table's schema is not the one the files were written with.
        ConfigError: the table allows no such change.
        LakeAccessError: the log cannot be written.
        Refused: Delta's library cannot make this change.
    """
    from deltalake.exceptions import DeltaError

    expected, stuck = change.if_version, 0
    for attempt in range(_TRIES):
        if log.version_or_none() is None:
            _create(log, change)
            expected = 0 if expected == -1 else expected
        try:
            with log.newest() as table:
                version = int(table.version())
                done, error = _once(log, table, change, expected)
        except (RaypipeError, SchemaMoved):
            raise
        except (TypeError, ValueError, KeyError, ArithmeticError, pl.exceptions.PolarsError) as why:
            if attempt == 0:  # later, an earlier try may still be on its way
                raise Refused(_reason(why)) from why
            raise LakeAccessError(f"table {log.name!r} cannot be committed to") from why
        if done is not None:
            return done
        # The answer may have been lost on its way: whose commit is the next version?
        theirs = log.commit_info(version + 1)
        if theirs is not None and our_part(theirs).get("attempt") == change.attempt:
            return Committed(version + 1, our_part(theirs))
        if not isinstance(error, DeltaError | OSError):
            raise Refused(_reason(error)) from error
        stuck = stuck + 1 if theirs is None and log.version() == version else 0
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


def _once(
    log: TableLog, table: Any, change: Change, expected: int | None
) -> tuple[Committed | None, BaseException | None]:
    """One try from one view of the table: what was committed, or why not."""
    before = _applied(log, table, change)
    if before is not None:
        return before, None
    version = int(table.version())
    if expected is not None and version != expected:
        raise version_conflict(log, expected, version)
    _validate(log, table, change)
    actions, noted = _actions(log, table, change, version)
    if not actions and change.replaces:
        return Committed(version, noted, applied_before=True), None
    error = _try(table, change, actions, noted)
    return (Committed(version + 1, noted), None) if error is None else (None, error)


def _reason(error: BaseException | None) -> str:
    return str(error).split("\n", 1)[0]


def version_conflict(log: TableLog, expected: int, version: int) -> CommitConflictError:
    """The error when the newest version is not the expected one."""
    return CommitConflictError(
        f"table {log.name!r} is not at version {expected}",
        f"version {version}",
        "Nothing was committed. Read the newest version and decide again.",
        "if_version",
    )


def _create(log: TableLog, change: Change) -> None:
    """Makes the table, without a row, or finds that another writer just made it.

    Raises:
        CommitConflictError: the change is for a version of a table, or for no table.
        LakeAccessError: it cannot be made.
        Refused: Delta's library cannot make it.
    """
    if change.if_version not in (None, -1):
        raise version_conflict(log, int(change.if_version or 0), -1)
    from deltalake import CommitProperties, DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        DeltaTable.create(
            log.uri,
            delta_schema(change.spec),
            mode="error",
            partition_by=list(change.spec.partition_by) or None,
            configuration=dict(change.spec.properties),
            raise_if_key_not_exists=False,
            storage_options=log.options,
            # With retries, who makes the table second would make it again as version 1, with his
            # schema in the place of the first one's.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except BaseException as error:
        if not _foreign(error):
            raise
        found = log.version_or_none()
        if found is None and not isinstance(error, DeltaError | OSError):
            raise Refused(_reason(error)) from error
        if found is None:
            raise LakeAccessError(f"table {log.name!r} cannot be made", _reason(error)) from error
        if change.if_version == -1:
            raise version_conflict(log, -1, found) from None


def _applied(log: TableLog, table: Any, change: Change) -> Committed | None:
    if change.app_id is None or change.replaces:
        return None
    version = table.transaction_version(change.app_id)
    if version is None:
        return None
    noted = our_part(log.commit_info(version))
    return Committed(version, noted, applied_before=noted.get("attempt") != change.attempt)


def _validate(log: TableLog, table: Any, change: Change) -> None:
    now = log.spec(table)
    # Who wrote under another mask than the table's must write again, with that one.
    if now.types != change.spec.types or now.tags != change.spec.tags:
        raise SchemaMoved
    metadata = table.metadata()
    if change.spec.partition_by != tuple(metadata.partition_columns):
        raise SchemaError(
            f"table {log.name!r} is partitioned otherwise",
            f"{list(change.spec.partition_by)}, but the table has {metadata.partition_columns}",
            "Leave partition_by out, or name the table's own.",
            "partition_by",
        )
    settings = metadata.configuration
    fields = table.schema().fields
    reason = next((key for key in settings if key.startswith("delta.constraints.")), None)
    if change.remove and settings.get("delta.appendOnly") == "true":
        reason = "delta.appendOnly"
    for column in fields:
        if not column.nullable or "delta.generationExpression" in column.metadata:
            reason = f"column {column.name!r} (NOT NULL or generated)"
    if reason:
        raise ConfigError(
            f"table {log.name!r} has a rule of another engine that would be broken here", reason
        )


def _actions(
    log: TableLog, table: Any, change: Change, version: int
) -> tuple[list[Any], dict[str, Any]]:
    from deltalake.transaction import AddAction, RemoveAction

    last = log.commit_info(version) or {}
    # Files are read in the order of their commits, and the log keeps no other mark of that order:
    # so this grows from commit to commit even where clocks of two machines differ.
    stamp = max(
        time.time_ns() // 1_000_000,
        int(last.get("timestamp", 0)) + 1,
        int(our_part(last).get("stamp", 0)) + 1,
    )
    noted = {**change.noted, "attempt": change.attempt, "stamp": stamp}
    gone = _to_remove(table, change)
    if change.replaces and not gone and _done_once(table, change):
        return [], noted  # it is there under other names, since someone rewrote the files
    actions: list[Any] = [RemoveAction(path, True, stamp, size=size) for path, size in gone]
    actions += [
        AddAction(f.path, f.size_bytes, dict(f.partition), stamp, True, f.stats)
        for f in change.files
    ]
    return actions, noted


def _done_once(table: Any, change: Change) -> bool:
    return change.app_id is not None and table.transaction_version(change.app_id) is not None


def _to_remove(table: Any, change: Change) -> list[tuple[str, int]]:
    if change.remove is None:
        return []
    files = pl.DataFrame(table.get_add_actions()).select("path", "size_bytes")
    # The log spells paths URL-encoded; deltalake encodes what it is given here once more.
    active = [(unquote(path), size) for path, size in files.iter_rows()]
    if change.remove == _MANY:
        return active
    return [(path, size) for path, size in active if path.startswith(change.remove)]


def _try(
    table: Any, change: Change, actions: list[Any], noted: Mapping[str, Any]
) -> BaseException | None:
    from deltalake import CommitProperties, PostCommitHookProperties, Transaction

    # The version of the transaction is the commit's own: later it tells where to look up what
    # the first application of a batch came to.
    mark = [Transaction(change.app_id, table.version() + 1)] if change.app_id else None
    if change.points:
        fault_point(f"{change.points}:before-commit")
    try:
        table.create_write_transaction(
            actions,
            _ADD,
            table.schema(),
            list(change.spec.partition_by) or None,
            commit_properties=CommitProperties(
                max_commit_retries=0, app_transactions=mark, custom_metadata={"raypipe": noted}
            ),
            post_commithook_properties=PostCommitHookProperties(
                create_checkpoint=True, cleanup_expired_logs=False
            ),
        )
    except BaseException as error:
        if not _foreign(error):
            raise
        return error
    if change.points:
        fault_point(f"{change.points}:after-commit")
    return None
