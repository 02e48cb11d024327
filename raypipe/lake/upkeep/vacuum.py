"""Removes the files of a table that nobody needs, and says beforehand which versions that ends."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from raypipe.core.errors import CommitConflictError, LakeAccessError, VersionNotFoundError
from raypipe.core.faults import fault_point
from raypipe.core.times import utc_now
from raypipe.lake.storage.store import open_store
from raypipe.lake.upkeep.durations import KEPT_FILES, KEPT_LOG, retention
from raypipe.lake.upkeep.log_files import (
    active_paths,
    checkpoint_path,
    commit_path,
    list_log,
    parse_commit,
    read_commits,
)
from raypipe.lake.upkeep.pin_state import CLOCKS, VACUUMED, PinEvent, PinState, merge_ranges
from raypipe.lake.upkeep.report import VacuumReport
from raypipe.lake.upkeep.vacuum_plan import Found, VacuumPlan, plan_log, plan_vacuum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.lake.log.table_log import TableLog
    from raypipe.lake.upkeep.pin_state import Pin, Ranges
    from raypipe.lake.upkeep.pins import PinBook

UNCOMMITTED = timedelta(hours=1)
"""A file that no commit knows stays at least this long, whatever the retention."""

_TRIES = 20
_AT_ONCE = 500

logger = logging.getLogger(__name__)


def vacuum(log: TableLog, book: PinBook, *, given: timedelta | None, dry_run: bool) -> VacuumReport:
    """Removes what no retained and no pinned version needs.

    Raises:
        CommitConflictError: others pinned versions again and again meanwhile.
    """
    for _ in range(_TRIES):
        state, revision = book.read()
        with log.newest() as table:
            kept_for = retention(given, log.spec(table).properties, KEPT_FILES)
        plan, version = _plan(log, state, kept_for, _now(log, dry_run=dry_run))
        report = VacuumReport(
            log.name,
            version,
            kept_for,
            dry_run,
            tuple(file.path for file in plan.files),
            sum(file.size for file in plan.files),
            plan.kept,
            plan.gone,
        )
        if dry_run or not plan.files:
            return report
        fault_point("upkeep:vacuum-planned")
        if _tell(log, book, state, plan.gone, revision):
            fault_point("upkeep:vacuum-told")
            _delete(log, report.files)
            return report
    raise _overtaken(log)


def clean_log(log: TableLog, book: PinBook, *, given: timedelta | None, dry_run: bool) -> int:
    """Removes commits that are past their retention, and gives the number of files.

    Raises:
        CommitConflictError: others pinned versions again and again meanwhile.
    """
    for _ in range(_TRIES):
        state, revision = book.read()
        with log.newest() as table:
            kept_for = retention(given, log.spec(table).properties, KEPT_LOG)
            newest = int(table.version())
        names = list_log(log)
        if not names.checkpoints:
            return 0
        store = open_store(log.uri, log.options)
        now = _now(log, dry_run=dry_run)
        cutoff = _ms(now - kept_for)
        times: dict[int, int | None] = {}
        for version in names.commits:  # ascending: from the first one that stays, all stay
            times[version] = parse_commit(version, store.get(commit_path(version))).at_ms
            at = times[version]
            if at is None or at >= cutoff:
                break
        times.setdefault(newest, None)
        pinned = {pin.version for pin in state.alive(now, log.name)}
        versions = set(plan_log(names.versions, times, names.checkpoints, pinned, cutoff))
        # Oldest first: killed in between, what is left is the log of a table cleaned a little less.
        paths = [commit_path(version) for version in names.commits if version in versions]
        paths += [checkpoint_path(version) for version in names.checkpoints if version in versions]
        paths += [path for version, path in names.others if version in versions]
        if dry_run or not paths:
            return len(paths)
        fault_point("upkeep:log-planned")
        gone = merge_ranges((version, version + 1) for version in versions)
        if _tell(log, book, state, gone, revision):
            fault_point("upkeep:log-told")
            _delete(log, paths)
            return len(paths)
    raise _overtaken(log)


def _now(log: TableLog, *, dry_run: bool) -> datetime:
    """The time to count back from: that of this machine, or of the place where the files lie if
    that is earlier by more than clocks may differ.

    Ages are counted from the times of files and commits. A clock that is a year ahead would make
    all of them old, also the file that somebody is about to commit.
    """
    here, store, probe = utc_now(), open_store(log.uri, log.options), f".{uuid.uuid4().hex}.tmp"
    try:
        store.put(probe, b"")
        there = min((found.modified for found in store.entries(probe)), default=here)
        store.delete([probe])
    except LakeAccessError:
        if not dry_run:
            raise
        return here
    if here - there <= CLOCKS:
        return here
    logger.warning("the clock here is %s ahead of that of %s", here - there, log.uri)
    return there


def _plan(
    log: TableLog, state: PinState, kept_for: timedelta, now: datetime
) -> tuple[VacuumPlan, int]:
    found = _found(log)
    commits = read_commits(log)
    with log.newest() as table:
        active, version = active_paths(table), int(table.version())
    pinned: dict[Pin, frozenset[str]] = {}
    by_version: dict[int, frozenset[str]] = {}
    for pin in state.alive(now, log.name):
        try:
            if pin.version not in by_version:
                by_version[pin.version] = active_paths(log.open(pin.version))
        except VersionNotFoundError:
            logger.warning(
                "version %d of %r, which %r has pinned, is in the log no more",
                pin.version, log.name, pin.holder,
            )  # fmt: skip
            continue
        pinned[pin] = by_version[pin.version]
    plan = plan_vacuum(
        found,
        active=active,
        commits=commits,
        pinned=pinned,
        cutoff_ms=_ms(now - kept_for),
        orphan_cutoff_ms=_ms(now - max(kept_for, UNCOMMITTED)),
    )
    return plan, version


def _tell(log: TableLog, book: PinBook, state: PinState, gone: Ranges, revision: int) -> bool:
    """Writes down which versions end, unless somebody pinned one meanwhile."""
    before = state.gone.get(log.name, ())
    if merge_ranges([*before, *gone]) == before:
        return True
    return book.append([PinEvent(VACUUMED, log.name, gone=gone)], revision)


def _delete(log: TableLog, paths: Sequence[str]) -> None:
    store = open_store(log.uri, log.options)
    for start in range(0, len(paths), _AT_ONCE):
        store.delete(paths[start : start + _AT_ONCE])
        fault_point("upkeep:vacuum-mid")


def _ms(when: datetime) -> int:
    return int(when.replace(tzinfo=UTC).timestamp() * 1000)


def _found(log: TableLog) -> list[Found]:
    return [
        Found(e.path, e.size, int(e.modified.replace(tzinfo=UTC).timestamp() * 1000))
        for e in open_store(log.uri, log.options).entries("")
    ]


def _overtaken(log: TableLog) -> CommitConflictError:
    return CommitConflictError(
        f"versions of table {log.name!r} were pinned under every attempt to vacuum it",
        f"{_TRIES} attempts",
        "Nothing was removed. Try again.",
    )
