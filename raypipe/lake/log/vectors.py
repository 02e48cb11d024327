"""The deletion vectors of a table's files, as the log describes them.

Delta's library reads them but does not hand on their description, which an entry that removes
such a file must repeat.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import LakeError
from raypipe.lake.log.entry import entry_name
from raypipe.lake.storage.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.log.table_log import TableLog

Vector = dict[str, Any]


def deletion_vectors(log: TableLog, version: int, paths: set[str]) -> Mapping[str, Vector]:
    """Descriptions by path (as the log spells it) of those files that have a deletion vector.

    Args:
        log: the table's log.
        version: the version that the files are looked up in.
        paths: files that are in the table at that version.

    Raises:
        LakeError: an entry or a checkpoint that is needed is not there.
    """
    store = open_store(log.uri, log.options)
    checkpoints = _checkpoints(store)
    left, found = set(paths), {}
    for number in range(version, -1, -1):
        if not left:
            break
        if number in checkpoints:
            known = _of_checkpoint(store, checkpoints[number])
        else:
            known = _of_entry(store, entry_name(number))
        for path in left & known.keys():
            vector = known[path]
            if vector is not None:
                found[path] = vector
        left -= known.keys()
    if left:
        raise LakeError(
            f"the log of table {log.name!r} does not tell where a file came from",
            sorted(left)[0],
            "Rewrite the table with the engine that made it.",
        )
    return found


def _checkpoints(store: Store) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path in store.files("_delta_log"):
        name = path.rsplit("/", 1)[-1]
        if name[:20].isdigit() and ".checkpoint" in name and name.endswith(".parquet"):
            found.setdefault(int(name[:20]), []).append(path)
    return found


def _of_entry(store: Store, path: str) -> dict[str, Vector | None]:
    found: dict[str, Vector | None] = {}
    for line in store.get(path).splitlines():
        add = json.loads(line).get("add") if b'"add"' in line else None
        if add is not None:
            found[add["path"]] = add.get("deletionVector")
    return found


def _of_checkpoint(store: Store, paths: list[str]) -> dict[str, Vector | None]:
    found: dict[str, Vector | None] = {}
    for path in paths:
        adds = pl.read_parquet(store.get(path), columns=["add"])["add"].struct.unnest()
        vectors = adds["deletionVector"] if "deletionVector" in adds.columns else [None] * len(adds)
        for name, vector in zip(adds["path"], vectors, strict=True):
            whole = vector is not None and vector.get("storageType") is not None
            if name is not None:
                found[name] = {k: v for k, v in vector.items() if v is not None} if whole else None
    return found
