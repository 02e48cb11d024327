"""The log's own words on how files joined a table: what a restore has to repeat."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from raypipe.core.errors import LakeError
from raypipe.lake.storage.store import open_store
from raypipe.lake.upkeep.log_files import checkpoint_path, commit_path, list_log

if TYPE_CHECKING:
    from raypipe.lake.log.table_log import TableLog


def raw_adds(log: TableLog, version: int, paths: set[str]) -> dict[str, dict[str, Any]]:
    """How files of a version joined the table, by path on disk.

    Args:
        log: the table's log.
        version: a version that has the files.
        paths: as they are on disk.

    Raises:
        LakeError: the log does not tell of one of them any more.
    """
    store = open_store(log.uri, log.options)
    checkpoints = set(list_log(log).checkpoints)
    left, found = set(paths), dict[str, dict[str, Any]]()
    for number in range(version, -1, -1):
        if not left:
            break
        if number in checkpoints:
            known = _of_checkpoint(store.get(checkpoint_path(number)))
        else:
            known = _of_commit(store.get(commit_path(number)))
        found.update((path, known[path]) for path in left & known.keys())
        left -= known.keys()
        if number in checkpoints:
            break  # what was in the table then is all in there
    if left:
        raise LakeError(
            f"the log of table {log.name!r} does not tell how a file joined it",
            min(left),
            "Nothing was changed. Restore a newer version.",
        )
    return found


def _of_commit(data: bytes) -> dict[str, dict[str, Any]]:
    adds = (json.loads(line).get("add") for line in data.splitlines() if b'"add"' in line)
    return {unquote(add["path"]): add for add in adds if add}


def _of_checkpoint(data: bytes) -> dict[str, dict[str, Any]]:
    import pyarrow.parquet as pq

    found = {}
    for add in pq.read_table(io.BytesIO(data), columns=["add"])["add"].to_pylist():
        if add and add.get("path"):
            vector = add.get("deletionVector")
            found[unquote(add["path"])] = {
                **add,
                "partitionValues": dict(add.get("partitionValues") or ()),
                "deletionVector": _known(vector) if vector and vector.get("storageType") else None,
            }
    return found


def _known(vector: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in vector.items() if value is not None}
