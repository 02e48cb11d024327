"""Brings a table back to what it was at an older version, as one new commit."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from raypipe.core.errors import CommitConflictError, LakeError
from raypipe.core.times import utc_now
from raypipe.lake.log.change import RESTORE
from raypipe.lake.log.commit import Change, FilesMoved, SchemaMoved, commit
from raypipe.lake.log.written import WrittenFile
from raypipe.lake.outcome import Commit
from raypipe.lake.read.pin import Pinned, pin
from raypipe.lake.storage.store import open_store
from raypipe.lake.upkeep.pin_state import Pin
from raypipe.lake.upkeep.pins import Lease, PinBook
from raypipe.lake.upkeep.raw_adds import raw_adds

if TYPE_CHECKING:
    from raypipe.lake.log.table_log import TableLog

_TRIES = 20
_LEASE = timedelta(hours=1)


def restore(log: TableLog, book: PinBook, version: int) -> Commit:
    """Makes the newest version hold what an older one holds.

    Raises:
        VersionNotFoundError: there is no such version, or a vacuum has taken files of it.
        LakeError: one of its files is gone.
        CommitConflictError: others came first many times.
    """
    then = pin(log, version)
    # A vacuum that has begun meanwhile would take the files after they are in the table again.
    held = (Pin(log.name, version, f"restore {uuid.uuid4().hex}", utc_now() + _LEASE),)
    book.pin(held)
    with Lease(book, held):
        _check_files(log, then)
        for _ in range(_TRIES):
            now = pin(log, None)
            change, rows = _change(log, now, then)
            if change is None:
                return Commit(log.name, now.version, 0, 0, 0, 0, applied_before=True)
            try:
                done = commit(log, change)
            except (FilesMoved, SchemaMoved, CommitConflictError):
                continue
            return Commit(log.name, done.version, rows, 0, 0, rows, applied_before=False)
    raise CommitConflictError(
        f"others changed table {log.name!r} under every attempt to restore it",
        f"{_TRIES} attempts",
        "Nothing was changed. Try again.",
    )


def _check_files(log: TableLog, then: Pinned) -> None:
    store = open_store(log.uri, log.options)
    for path in then.files["path"]:
        if not store.exists(unquote(path)):
            raise LakeError(
                f"table {log.name!r} cannot go back to version {then.version}: a file is gone",
                unquote(path),
                "Nothing was changed. A vacuum removed it; restore a newer version.",
            )


def _change(log: TableLog, now: Pinned, then: Pinned) -> tuple[Change | None, int]:
    """What is to be committed, and the rows that it brings back; None: nothing."""
    wanted = {unquote(path): path for path in then.files["path"]}
    here = {unquote(path): path for path in now.files["path"]}
    for path in wanted.keys() & here.keys():
        before, after = then.deleted.get(wanted[path]), now.deleted.get(here[path])
        if (before is None) != (after is None) or (
            before is not None and after is not None and not before.equals(after)
        ):
            raise LakeError(
                f"rows were deleted from a file of table {log.name!r} since version {then.version}",
                path,
                "Nothing was changed. Read that version, and overwrite the table with it.",
            )
    back = sorted(wanted.keys() - here.keys())
    gone = sorted(here.keys() - wanted.keys())
    evolve = None if then.spec == now.spec else then.spec
    if not back and not gone and evolve is None:
        return None, 0
    counts = dict(then.files.select("path", "num_records").iter_rows())
    adds = raw_adds(log, then.version, set(back))
    files = tuple(_file(path, adds[path], counts[wanted[path]], then) for path in back)
    rows = sum(counts[wanted[path]] - len(then.deleted.get(wanted[path], ())) for path in back)
    change = Change(
        files=files,
        spec=now.spec,
        remove_paths=tuple(gone),
        evolve=evolve,
        keep_stamps=True,
        operation=RESTORE,
        if_version=now.version,
        noted={"kind": "restore", "restored": then.version, "rows": rows, "rows_in": rows},
        attempt=uuid.uuid4().hex,
        points="upkeep",
    )
    return change, rows


def _file(path: str, add: dict[str, Any], rows: int, then: Pinned) -> WrittenFile:
    values = add.get("partitionValues") or {}
    return WrittenFile(
        path,
        int(add["size"]),
        add.get("stats") or json.dumps({"numRecords": rows}),
        tuple((name, values.get(name)) for name in then.partition_by),
        int(add["modificationTime"]),
        add.get("deletionVector"),
    )
