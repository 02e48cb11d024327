"""A log entry as bytes: one JSON line for each action, as the Delta protocol spells them.

Pure: plain values in, bytes out. Two actions that would contradict each other in one entry are
refused here, since a reader may take them in any order.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from raypipe.lake.log.written import WrittenFile

Action = dict[str, Any]

META = "raypipe"
_ENGINE = "raypipe"
_JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
# Just what deltalake leaves as it is: a path that it takes from one entry to another (into a
# checkpoint or a removal) must stay the same text.
_PLAIN = "!$&'()+,:;=@/"
_DEEPEST = 64  # levels of JSON; readers of a log give up at 128, and then the table is lost


def log_path(path: str) -> str:
    """A path on disk as the log spells it."""
    return quote(path, safe=_PLAIN)


def disk_path(path: str) -> str:
    """A path of the log as it is on disk."""
    return unquote(path)


def entry_name(version: int) -> str:
    """Where the entry of a version lies in the table's folder."""
    return f"_delta_log/{version:020d}.json"


def commit_info(
    operation: str,
    stamp: int,
    noted: Mapping[str, Any],
    *,
    parameters: Mapping[str, str] | None = None,
    read_version: int | None = None,
) -> Action:
    """What a commit says of itself.

    Args:
        operation: ``WRITE``, ``MERGE``, ``DELETE`` and so on.
        stamp: the commit's time in milliseconds; it grows from commit to commit.
        noted: raypipe's own part, JSON.
        parameters: of the operation, for people who read the history.
        read_version: the version that was decided on.
    """
    info: dict[str, Any] = {
        "timestamp": stamp,
        "operation": operation,
        "operationParameters": dict(parameters or {}),
        "engineInfo": _ENGINE,
    }
    if read_version is not None:
        info["readVersion"] = read_version
    info[META] = dict(noted)
    return {"commitInfo": info}


def transaction(app_id: str, version: int, stamp: int) -> Action:
    """The mark of a batch."""
    return {"txn": {"appId": app_id, "version": version, "lastUpdated": stamp}}


def add(file: WrittenFile, stamp: int, *, data_change: bool) -> Action:
    """A file joins the table."""
    action = {
        "path": log_path(file.path),
        "partitionValues": dict(file.partition),
        "size": file.size_bytes,
        "modificationTime": stamp,
        "dataChange": data_change,
        "stats": file.stats,
    }
    if file.deletion_vector is not None:
        action["deletionVector"] = dict(file.deletion_vector)
    return {"add": action}


def cdc(file: WrittenFile) -> Action:
    """A file that tells which rows a commit changed."""
    return {
        "cdc": {
            "path": log_path(file.path),
            "partitionValues": dict(file.partition),
            "size": file.size_bytes,
            "dataChange": False,
        }
    }


def remove(
    path: str,
    size: int,
    partition: Mapping[str, str | None],
    stamp: int,
    *,
    data_change: bool,
    deletion_vector: Mapping[str, Any] | None = None,
) -> Action:
    """A file leaves the table; ``path`` is as the log spells it, to the letter."""
    action = {
        "path": path,
        "dataChange": data_change,
        "deletionTimestamp": stamp,
        "extendedFileMetadata": True,
        "partitionValues": dict(partition),
        "size": size,
    }
    if deletion_vector is not None:
        action["deletionVector"] = dict(deletion_vector)
    return {"remove": action}


def partition_text(value: object) -> str | None:
    """A value of a partition column as the log spells it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
        return f"{value:%Y-%m-%d %H:%M:%S.%f}"
    if isinstance(value, date):
        return value.isoformat()
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def entry(actions: Iterable[Action]) -> bytes:
    """The bytes of a log entry.

    Raises:
        ConfigError: two actions contradict each other.
        ValueError: a value is no JSON, or too deep for the readers of a log.
    """
    lines, seen = [], set()
    for action in actions:
        kind, body = next(iter(action.items()))
        key = (kind, body.get("path") or body.get("appId"))
        if key in seen:
            raise ConfigError(f"a commit has two {kind} actions for one thing", key[1])
        seen.add(key)
        if kind == "commitInfo":
            _refuse_deep(body)
        lines.append(_JSON.encode(action))
    # A lone surrogate cannot be encoded: it would be a log that no reader can decode.
    return ("\n".join(lines) + "\n").encode()


def actions_of(data: bytes, kind: str) -> Iterator[Action]:
    """The actions of one kind in a log entry, in their order; other lines are not parsed.

    Raises:
        ValueError: a line is not JSON.
    """
    mark = f'"{kind}"'.encode()
    for line in io.BytesIO(data):
        body = json.loads(line).get(kind) if mark in line else None
        if isinstance(body, dict):
            yield body


def _refuse_deep(value: object) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for one in level
            if isinstance(one, dict | list | tuple)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ValueError(f"what a commit notes is nested more than {_DEEPEST} levels deep")
