"""Small files become few large ones in one commit, beside writers, merges and other compactors.

A compaction is decided on a snapshot. When it commits, each of its files must still be in the
table; files that came meanwhile do not concern it. Parts whose files are gone are dropped, the
others are committed, and what is left is planned anew.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from raypipe.core.errors import CommitConflictError, ConfigError, LakeError, SchemaError
from raypipe.core.faults import fault_point
from raypipe.engine.parts import RunOn, run_parts
from raypipe.lake.log.commit import Change, FilesMoved, ReadSet, Refused, SchemaMoved, commit
from raypipe.lake.storage.store import open_store
from raypipe.lake.upkeep.log_files import active_paths
from raypipe.lake.upkeep.plan import OldFile, check_target, new_path, plan_bins, plan_groups
from raypipe.lake.upkeep.report import Compaction
from raypipe.lake.upkeep.rewrite import Rewrite, RewriteJob, rewrite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.lake.log.table_log import TableLog
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.read.snapshot import Snapshot

_ROUNDS = 10
_COMMIT_TRIES = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactAsk:
    """What one compaction is asked for.

    Attributes:
        where: only files that can hold a row of this filter.
        target_bytes: how large a file should become; None: as the table says.
        z_order: columns along whose Z-curve rows are laid.
        run_on: where the parts run.
        least_files: put no fewer than this many files together.
        thrifty: see ``plan_bins``.
    """

    where: pl.Expr | None = None
    target_bytes: int | None = None
    z_order: tuple[str, ...] = ()
    run_on: RunOn = "auto"
    least_files: int = 2
    thrifty: bool = False

    def __post_init__(self) -> None:
        check_target(self.target_bytes)
        if self.where is not None and not isinstance(self.where, pl.Expr):
            raise ConfigError("where is a polars expression", self.where, None, "where")
        if len(self.z_order) > 8:
            raise ConfigError(
                "a Z-order of so many columns orders none of them",
                list(self.z_order),
                "Name at most 8, better 2 or 3.",
                "z_order",
            )


def compact(log: TableLog, look: Callable[[], Snapshot], ask: CompactAsk) -> Compaction:
    """Compacts until nothing is left to do.

    Args:
        log: the table's log.
        look: gives the newest snapshot.
        ask: what is asked.

    Raises:
        SchemaError: a column of the filter or of the Z-order is not there, or cannot be ordered.
        CommitConflictError: others changed the files under every attempt.
        LakeError: a file cannot be read; nothing was changed by the commit that needed it.
    """
    total = Compaction(log.name, -1)
    for _ in range(_ROUNDS):
        snapshot = look()
        job, rewrites = _decide(log, snapshot, ask)
        if not rewrites:
            return total if total.files_removed else Compaction(log.name, snapshot.version)
        size = sum(part.nbytes for one in rewrites for part in one.parts)
        try:
            written = run_parts(partial(rewrite, job), rewrites, run_on=ask.run_on, bytes_hint=size)
        except BaseException:
            _forget(log, job)
            raise
        fault_point("upkeep:after-files")
        done, left = _commit(log, snapshot, job, list(zip(rewrites, written, strict=True)))
        total = _sum(total, done)
        if not left and (done is not None or ask.z_order):
            return total
    raise CommitConflictError(
        f"others changed table {log.name!r} under every attempt to compact it",
        f"{_ROUNDS} attempts",
        "Its rows are as they were. Try again.",
    )


def _decide(log: TableLog, snapshot: Snapshot, ask: CompactAsk) -> tuple[RewriteJob, list[Rewrite]]:
    spec = snapshot._pinned.spec
    for name in ask.z_order:
        dtype = spec.types.get(name)
        if dtype is None or dtype.is_nested() or name in spec.partition_by:
            raise SchemaError(
                f"rows of table {log.name!r} cannot be laid out by {name!r}",
                "no such column" if dtype is None else f"a partition column or {dtype}",
                "Use columns of plain values that are no partition columns.",
                name,
            )
    job = RewriteJob(
        folder=log.uri,
        storage_options=log.options,
        attempt=uuid.uuid4().hex,
        target_bytes=ask.target_bytes or spec.target_file_bytes,
        sort_by=spec.sort_by,
        z_order=ask.z_order,
    )
    parts = dict(zip(_old_files(snapshot), snapshot.parts(), strict=True))
    chosen = list(parts)
    if ask.where is not None:
        uris = {part.uri for part in snapshot.where(ask.where).parts()}
        chosen = [file for file, part in parts.items() if part.uri in uris]
    if ask.z_order:
        bins = plan_groups(chosen)
    else:
        # Over all files, so that no bin reaches across a file that stays.
        bins = plan_bins(parts, job.target_bytes, least_files=ask.least_files, thrifty=ask.thrifty)
        wanted = set(chosen)
        bins = tuple(one for one in bins if wanted.intersection(one))
    rewrites = []
    for number, one in enumerate(bins):
        target = (
            one[0].path.rpartition("/")[0] + "/" * ("/" in one[0].path)
            if ask.z_order
            else new_path(one[0], job.attempt, number)
        )
        rewrites.append(
            Rewrite(
                number,
                tuple(parts[file] for file in one),
                tuple(file.path for file in one),
                target,
                None if ask.z_order else one[0].stamp,
            )
        )
    return job, rewrites


def _old_files(snapshot: Snapshot) -> list[OldFile]:
    pinned = snapshot._pinned
    names = [f"partition.{name}" for name in pinned.partition_by]
    return [
        OldFile(
            unquote(row["path"]),
            int(row["modification_time"]),
            int(row["size_bytes"]),
            int(row["num_records"]),
            tuple(row[name] for name in names),
        )
        for row in pinned.files.iter_rows(named=True)
    ]


_Pair = tuple[Rewrite, "tuple[WrittenFile, ...]"]


def _commit(
    log: TableLog, snapshot: Snapshot, job: RewriteJob, pairs: list[_Pair]
) -> tuple[Compaction | None, bool]:
    """Commits the parts whose files are still there; whether some were not."""
    left = False
    for _ in range(_COMMIT_TRIES):
        if not pairs:
            return None, True
        change = _change(log, snapshot, job, pairs)
        try:
            done = commit(log, change)
        except FilesMoved:
            with log.newest() as table:
                active = active_paths(table)
            good = [pair for pair in pairs if active.issuperset(pair[0].paths)]
            if change.read is not None:
                good = []
            _remove(log, [file for pair in pairs if pair not in good for file in pair[1]])
            pairs, left = good, True
            continue
        except SchemaMoved:
            break
        except (ConfigError, SchemaError, CommitConflictError, Refused) as error:
            _remove(log, [file for _, files in pairs for file in files])
            if isinstance(error, Refused):
                raise LakeError(f"table {log.name!r} cannot be compacted", str(error)) from error
            raise
        return _told(log.name, done.version, pairs), left
    _remove(log, [file for _, files in pairs for file in files])
    return None, True


def _change(log: TableLog, snapshot: Snapshot, job: RewriteJob, pairs: Sequence[_Pair]) -> Change:
    files = tuple(file for _, files in pairs for file in files)
    paths = tuple(path for one, _ in pairs for path in one.paths)
    with log.newest() as table:
        marks = "deletionVectors" in (table.protocol().reader_features or ())
    facts = _told(log.name, 0, pairs)
    return Change(
        files=files,
        spec=snapshot._pinned.spec,
        remove_paths=paths,
        # A row may be deleted from a file that stays where it is: then only the read set tells.
        read=ReadSet(snapshot.version) if marks else None,
        data_change=False,
        keep_stamps=not job.z_order,
        operation="OPTIMIZE",
        noted={
            "kind": "compact",
            "files_removed": facts.files_removed,
            "files_added": facts.files_added,
            **({"z_order": list(job.z_order)} if job.z_order else {}),
        },
        attempt=job.attempt,
        points="upkeep",
    )


def _told(name: str, version: int, pairs: Sequence[_Pair]) -> Compaction:
    parts = [part for one, _ in pairs for part in one.parts]
    files = [file for _, some in pairs for file in some]
    return Compaction(
        name,
        version,
        len(parts),
        len(files),
        sum(part.rows for part in parts),
        sum(part.nbytes for part in parts),
        sum(file.size_bytes for file in files),
    )


def _sum(total: Compaction, done: Compaction | None) -> Compaction:
    if done is None:
        return total
    return Compaction(
        total.table,
        done.version,
        total.files_removed + done.files_removed,
        total.files_added + done.files_added,
        total.rows + done.rows,
        total.bytes_removed + done.bytes_removed,
        total.bytes_added + done.bytes_added,
    )


def _remove(log: TableLog, files: Sequence[Any]) -> None:
    """Files that were not committed; what cannot be removed now, a vacuum takes later."""
    try:
        open_store(log.uri, log.options).delete(file.path for file in files)
    except OSError as error:  # LakeAccessError is one
        logger.warning("files of a compaction stay in %s: %s", log.uri, error)


def _forget(log: TableLog, job: RewriteJob) -> None:
    """The files of an attempt that broke off."""
    try:
        store = open_store(log.uri, log.options)
        store.delete(path for path in store.files("") if job.attempt in path)
    except OSError as error:
        logger.warning("files of a compaction stay in %s: %s", log.uri, error)
