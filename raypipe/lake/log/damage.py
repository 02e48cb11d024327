"""A damaged log: which file of it is wrong, and what can be done about it.

Delta's library says of most damage only that it met it, and takes an entry of no bytes, which a
power cut can leave behind, for a commit that did nothing: its rows would be missing in silence.
"""

from __future__ import annotations

import io
import json
import os
import re
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import LakeError, SourceNotFoundError

if TYPE_CHECKING:
    from raypipe.lake.storage.store import Store

_FOLDER, _HINT = "_delta_log", "_delta_log/_last_checkpoint"
_NAME = re.compile(r"_delta_log/(\d{20})\.(json|checkpoint\.(?:.*\.)?parquet)$")
_COPY = "Put this file back from a copy of the table; until then nothing is read or written."
_REST_IS_THERE = "Delete {}: all entries that it stands for are there, so nothing is lost."


def foreign(error: BaseException) -> bool:
    """Whether it is a library's failure; a panic of Rust is one, though no ``Exception``."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def damage_of(store: Store) -> tuple[str, str] | None:
    """The first thing found wrong with the log below a table's folder, and what to do.

    None when nothing is: then the log holds something that this library cannot read.
    """
    entries: dict[int, str] = {}
    checkpoints: dict[int, list[str]] = {}
    for path in store.files(_FOLDER):
        named = _NAME.match(path)
        if named and named[2] == "json":
            entries[int(named[1])] = path
        elif named:
            checkpoints.setdefault(int(named[1]), []).append(path)
    if not entries:
        return None
    broken = [path for paths in checkpoints.values() for path in paths if not _opens(store, path)]
    good = [v for v, paths in checkpoints.items() if not set(paths) & set(broken)]
    start = max(good, default=-1) + 1
    wrong = _entries(store, entries, start)
    hint = _hint(store)
    if broken:
        bad = ", ".join(sorted(broken))
        act = _COPY if wrong else _REST_IS_THERE.format(f"{bad} and {_HINT}")
        return f"checkpoint {bad} is damaged", act
    if hint is not None and hint not in checkpoints:
        act = _COPY if wrong else _REST_IS_THERE.format(_HINT)
        return f"{_HINT} names version {hint}, of which there is no checkpoint", act
    return None if wrong is None else (wrong, _COPY)


def refuse_empty(name: str, uri: str, after: int, upto: int) -> None:
    """Looks at the sizes of the entries of a local log with versions in ``(after, upto]``, back to
    the last checkpoint: they are what a reader follows.

    Raises:
        LakeError: one has no bytes.
    """
    for version in range(upto, max(after, -1), -1):
        path = f"{uri}/{_FOLDER}/{version:020d}.json"
        try:
            size = os.stat(path).st_size  # noqa: PTH116 - half the time of Path.stat
        except FileNotFoundError:  # before it the log was cleaned up
            return
        if size == 0:
            raise LakeError(f"the log of table {name!r} is damaged", f"{path} is empty", _COPY)
        if os.path.exists(f"{uri}/{_FOLDER}/{version:020d}.checkpoint.parquet"):  # noqa: PTH110
            return


def _entries(store: Store, entries: dict[int, str], start: int) -> str | None:
    for version in range(start, max(entries) + 1):
        path = entries.get(version)
        if path is None:
            return f"{_FOLDER}/{version:020d}.json is missing"
        try:
            lines = store.get(path).decode().splitlines()
            if not lines:
                return f"{path} is empty"
        except SourceNotFoundError:
            return f"{path} is missing"
        except UnicodeDecodeError:
            return f"{path} is not text"
        bad = next((n for n, line in enumerate(lines, 1) if not _is_json(line)), None)
        if bad is not None:
            return f"{path}, line {bad} is not JSON"
    return None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _opens(store: Store, path: str) -> bool:
    try:
        pl.read_parquet_schema(io.BytesIO(store.get(path)))
    except (OSError, pl.exceptions.PolarsError):
        return False
    return True


def _hint(store: Store) -> int | None:
    try:
        return int(json.loads(store.get(_HINT))["version"])
    except (OSError, ValueError, KeyError, TypeError):  # Delta's readers go on without it, too
        return None
