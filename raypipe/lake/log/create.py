"""The making of a table: version 0 of its log, without a row, by whoever comes first."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from raypipe.lake.log.change import version_conflict
from raypipe.lake.log.entry import commit_info, entry, entry_name
from raypipe.lake.log.protocol import first_protocol, refuse_unwritable
from raypipe.lake.schema.spec import TableSpec, schema_string
from raypipe.lake.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.log.change import Change
    from raypipe.lake.log.table_log import TableLog


def create(log: TableLog, change: Change) -> None:
    """Makes the table, without a row, or finds that another writer just made it.

    Raises:
        CommitConflictError: the change is for a version of a table, or for no table.
        ConfigError: no table can be made so.
        LakeAccessError: it cannot be made.
    """
    if change.if_version not in (None, -1):
        raise version_conflict(log, int(change.if_version or 0), -1)
    spec = change.wrote
    protocol = first_protocol(spec)
    refuse_unwritable(log.name, protocol, spec)
    stamp = time.time_ns() // 1_000_000
    first = [
        commit_info("CREATE TABLE", stamp, {"stamp": stamp}),
        protocol.action(),
        metadata_action(spec, schema_string(spec), {"id": str(uuid.uuid4()), "createdTime": stamp}),
    ]
    made = open_store(log.uri, log.options).put_new(entry_name(0), entry(first))
    if not made and change.if_version == -1:
        raise version_conflict(log, -1, log.version())


def metadata_action(spec: TableSpec, schema: str, kept: Mapping[str, Any]) -> dict[str, Any]:
    """The line of the log that says what a table is.

    Args:
        spec: what it is from this entry on.
        schema: its columns as a Delta ``schemaString``.
        kept: what stays as long as the table lives (``id``, ``createdTime``, ``name``).
    """
    return {
        "metaData": {
            **kept,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": list(spec.partition_by),
            "configuration": dict(spec.properties),
        }
    }
