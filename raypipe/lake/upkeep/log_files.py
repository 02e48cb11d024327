"""What the files of a log say, commit by commit: which files came, went, and when."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from raypipe.lake.storage.store import open_store

if TYPE_CHECKING:
    from raypipe.lake.log.table_log import TableLog

LOG = "_delta_log"
_COMMIT = re.compile(rf"{LOG}/(\d{{20}})\.json")
_CHECKPOINT = re.compile(rf"{LOG}/(\d{{20}})\.checkpoint\.parquet")
_OF_VERSION = re.compile(rf"{LOG}/(\d{{20}})\.")


@dataclass(frozen=True, slots=True)
class Logged:
    """One commit.

    Attributes:
        version: its version.
        at_ms: when it was made, in milliseconds since 1970; None where it does not say.
        added: paths of files that joined the table, as they are on disk.
        removed: paths of files that left it, and when.
        changes: paths of files that hold what changed.
    """

    version: int
    at_ms: int | None
    added: tuple[str, ...] = ()
    removed: tuple[tuple[str, int | None], ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The names in a log's folder.

    Attributes:
        commits: versions whose commit file is there, ascending.
        checkpoints: versions with a checkpoint of one file, ascending.
        others: files of a version that are of neither kind, by version.
    """

    commits: tuple[int, ...]
    checkpoints: tuple[int, ...]
    others: tuple[tuple[int, str], ...]

    @property
    def versions(self) -> set[int]:
        """All versions of which there is a file."""
        return {*self.commits, *self.checkpoints, *(version for version, _ in self.others)}


def list_log(log: TableLog) -> LogFiles:
    """Reads the names of a log's files."""
    commits, checkpoints, others = [], [], []
    for path in open_store(log.uri, log.options).files(LOG):
        if found := _COMMIT.fullmatch(path):
            commits.append(int(found[1]))
        elif found := _CHECKPOINT.fullmatch(path):
            checkpoints.append(int(found[1]))
        elif found := _OF_VERSION.match(path):
            others.append((int(found[1]), path))
    return LogFiles(tuple(sorted(commits)), tuple(sorted(checkpoints)), tuple(sorted(others)))


def commit_path(version: int) -> str:
    """Where the commit file of a version lies in the table's folder."""
    return f"{LOG}/{version:020d}.json"


def checkpoint_path(version: int) -> str:
    """Where the checkpoint of a version lies in the table's folder."""
    return f"{LOG}/{version:020d}.checkpoint.parquet"


def read_commits(log: TableLog) -> list[Logged]:
    """All commits whose files are there, oldest first."""
    store = open_store(log.uri, log.options)
    return [
        parse_commit(version, store.get(commit_path(version))) for version in list_log(log).commits
    ]


def parse_commit(version: int, data: bytes) -> Logged:
    """One commit file."""
    at_ms: int | None = None
    found: dict[str, list[Any]] = {"add": [], "remove": [], "cdc": []}
    for line in data.splitlines():
        if not line.strip():
            continue
        action = json.loads(line)
        if "commitInfo" in action:
            at_ms = action["commitInfo"].get("timestamp")
        for kind, into in found.items():
            if kind in action:
                into.append(action[kind])
    return Logged(
        version,
        at_ms,
        tuple(unquote(a["path"]) for a in found["add"]),
        tuple((unquote(a["path"]), a.get("deletionTimestamp")) for a in found["remove"]),
        tuple(unquote(a["path"]) for a in found["cdc"]),
    )


def active_paths(table: Any) -> frozenset[str]:
    """Paths of the files of an open table, as they are on disk."""
    files = pl.DataFrame(table.get_add_actions())
    if not files.height:
        return frozenset()
    return frozenset(unquote(path) for path in files["path"])
