"""The table of refused rows: what it must be to take them, and rows that come later."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import SchemaError
from raypipe.expressions import encode
from raypipe.lake.log.change import SCHEMA_TRIES
from raypipe.lake.log.commit import Change, ReadSet, SchemaMoved, commit
from raypipe.lake.options import TableOptions
from raypipe.lake.schema.contract import ROW, evolved
from raypipe.lake.write.fused import BATCH, REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raypipe.lake.log.table_log import TableLog
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.write.fused import WriteJob
    from raypipe.lake.write.whole import Whole

_FEED = ("_change_type", "_commit_version", "_commit_timestamp")


def refuse_reserved(names: Iterable[str], *, change_feed: bool = False) -> None:
    """No column has a name that the quarantine table needs, or the change feed if there is one.

    Raises:
        SchemaError: one has.
    """
    for name in names:
        if change_feed and name.casefold() in _FEED:
            raise SchemaError(
                "a column has a name that the change feed of a table needs",
                name,
                "Rename it.",
                name,
            )
        if name.casefold() in (REASONS, BATCH, ROW):
            raise SchemaError(
                "a column has a name that the quarantine table needs", name, "Rename it.", name
            )


def quarantine_specs(quarantine: TableLog, job: WriteJob) -> tuple[TableSpec | None, TableSpec]:
    """The quarantine table as it is, when columns must join it, and as this write needs it."""
    own = {ROW: pl.String()} if job.evolve == "quarantine" else {}
    types = {**job.schema, REASONS: pl.List(pl.String()), BATCH: pl.String(), **own}
    if quarantine.version_or_none() is None:
        return None, TableOptions().first_spec(types)
    with quarantine.newest() as table:
        now = quarantine.spec(table)
    if any(n in now.columns and now.columns[n].dtype != t for n, t in types.items()):
        return None, TableOptions().first_spec(types)  # another table's: the commit says so
    joined = evolved(now, types, {}, quarantine.name)
    return (None, now) if joined is now else (now, joined)


def add_refused(
    quarantine: TableLog,
    job: WriteJob,
    files: Sequence[WrittenFile],
    there: Sequence[WrittenFile],
) -> None:
    """Rows that a rival's rows made to be refused, beside those of this batch that are there."""
    known = {file.path for file in there}
    more = tuple(file for file in files if file.path not in known)
    if not more:
        return
    commit_refused(
        quarantine,
        job,
        files=more,
        noted={"kind": "quarantine", "batch_id": job.batch},
        attempt=uuid.uuid4().hex,  # of this commit: the one before has the name of the write
    )


def commit_refused(quarantine: TableLog, job: WriteJob, **change: Any) -> None:
    """Commits to the quarantine table, which takes the columns that the rows need.

    Args:
        quarantine: its log.
        job: the write that refused the rows.
        change: the other arguments of ``Change``.

    Raises:
        SchemaError: the table of this name was made for something else.
    """
    for _ in range(SCHEMA_TRIES):
        now, joined = quarantine_specs(quarantine, job)
        evolve = joined if now else None
        try:
            commit(quarantine, Change(spec=now or joined, evolve=evolve, **change))
        except SchemaMoved:  # a rival brought columns meanwhile, or it is a table of other things
            continue
        return
    raise SchemaError(
        f"the quarantine table {quarantine.name!r} has other columns than its table",
        quarantine.uri,
        "Move it away; it was made for another table.",
    )


def read_set(whole: Whole) -> ReadSet | None:
    """The keys that no rival may have added to the table meanwhile."""
    if not whole.everything and whole.where is None:
        return None
    where = None if whole.where is None else encode(whole.where)
    return ReadSet(whole.version, where)
