"""A merge carried out by Delta's own library, as one compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.core.faults import fault_point
from raypipe.lake.change.source import GONE
from raypipe.lake.log.change import Committed, FilesMoved, Refused, SchemaMoved, version_conflict
from raypipe.lake.log.table_log import our_part
from raypipe.lake.schema.rules import generated
from raypipe.lake.schema.spec import spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.change.ask import MergeAsk
    from raypipe.lake.change.unit import Unit
    from raypipe.lake.write.fused import WriteJob

_COUNTS = {
    "inserted": "num_target_rows_inserted",
    "updated": "num_target_rows_updated",
    "deleted": "num_target_rows_deleted",
}


def why_not(how: MergeAsk, job: WriteJob) -> str | None:
    """Why Delta's library cannot carry out a merge of this table as we do, if so."""
    sets = set(how.updated(job.spec))
    for name, made_of in generated(job.spec).items():
        if name not in sets and sets & set(made_of.meta.root_names()):
            return f"column {name!r}: it does not generate it anew from the columns that are set"
    if job.spec.sort_by:
        return "sort_by: it does not sort the rows of a file"
    if job.before is not None:
        return "columns that join the table: it adds them in another way"
    return None


def merge_by_library(
    unit: Unit, rows: pl.DataFrame, how: MergeAsk, noted: Mapping[str, Any]
) -> Committed:
    """One try on the newest version.

    Raises:
        FilesMoved: another writer came first.
        SchemaMoved: the table's columns or rules are not those of the job any more.
        Refused: the library cannot do it; nothing was committed.
    """
    from deltalake import CommitProperties, PostCommitHookProperties, Transaction, WriterProperties
    from deltalake.exceptions import CommitFailedError, DeltaError

    log, ask = unit.writer.log, unit.ask
    with log.newest() as table:
        version = int(table.version())
        if spec_of(table) != unit.job.spec:
            raise SchemaMoved
        if ask.app_id is not None and table.transaction_version(ask.app_id) is not None:
            found = int(table.transaction_version(ask.app_id))
            return Committed(found, counted(log.commit_info(found)), applied_before=True)
        if ask.if_version is not None and ask.if_version != version:
            raise version_conflict(log, ask.if_version, version)
        mark = [Transaction(ask.app_id, version + 1)] if ask.app_id else None
        fault_point("lake:before-commit")
        try:
            merger = table.merge(
                rows.to_arrow(compat_level=pl.CompatLevel.oldest()),
                " AND ".join(f"{_name('t', key)} = {_name('s', key)}" for key in how.on),
                source_alias="s",
                target_alias="t",
                writer_properties=WriterProperties(compression="ZSTD"),
                commit_properties=CommitProperties(
                    max_commit_retries=0,
                    app_transactions=mark,
                    custom_metadata={"raypipe": {**noted, "attempt": ask.attempt}},
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=True, cleanup_expired_logs=False
                ),
            )
            _clauses(merger, how, unit).execute()
        except (CommitFailedError, OSError) as error:
            mine = log.commit_info(version + 1)
            if mine is None:
                raise
            if our_part(mine).get("attempt") != ask.attempt:
                raise FilesMoved from error
        except (DeltaError, ValueError, TypeError) as error:
            raise Refused(str(error).split("\n", 1)[0]) from error
        fault_point("lake:after-commit")
        return Committed(version + 1, counted(log.commit_info(version + 1)))


def _clauses(merger: Any, how: MergeAsk, unit: Unit) -> Any:
    newer = "true"
    if how.newer_by is not None:
        old, new = _name("t", how.newer_by), _name("s", how.newer_by)
        newer = f"({old} IS NULL OR {new} > {old})"
    gone, spec = _name("s", GONE), unit.job.spec
    if how.when_matched == "delete":
        merger = merger.when_matched_delete(predicate=newer)
    elif how.delete_when is not None:
        merger = merger.when_matched_delete(predicate=f"{gone} AND {newer}")
    if how.when_matched == "update":
        sets = {_quoted(name): _name("s", name) for name in how.updated(spec)}
        merger = merger.when_matched_update(sets, predicate=f"NOT {gone} AND {newer}")
    if how.when_not_matched == "insert":
        values = {_quoted(name): _name("s", name) for name in spec.columns}
        merger = merger.when_not_matched_insert(values, predicate=f"NOT {gone}")
    return merger


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _name(side: str, name: str) -> str:
    return f"{side}.{_quoted(name)}"


def counted(info: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a merge noted; the library's figures where it counted the rows."""
    noted = our_part(info)
    if noted.get("how") != "deltalake":
        return noted
    metrics = (info or {}).get("operationMetrics") or {}
    counts = {name: int(metrics.get(key, 0)) for name, key in _COUNTS.items()}
    return {**noted, **counts, "rows": counts["inserted"] + counts["updated"]}


def refuse_unfit(how: MergeAsk, job: WriteJob, table: str) -> None:
    """Refuses ``how="deltalake"`` where it would not do what is asked.

    Raises:
        ConfigError: the table has what the library does not keep to.
    """
    reason = why_not(how, job) if how.how == "deltalake" else None
    if reason:
        raise ConfigError(
            f"table {table!r} is not merged by Delta's own library",
            reason,
            "Use how='rewrite' or leave it out.",
            "how",
        )
