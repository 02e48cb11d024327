"""What a commit is asked to do, and what can come of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import CommitConflictError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.log.table_log import TableLog
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.schema.spec import TableSpec

ALL = "all"
RESTORE = "RESTORE"


@dataclass(frozen=True, slots=True)
class ReadSet:
    """The rows that a change was decided on.

    Attributes:
        version: the version that they were read from.
        where: the encoded row filter that they met; None for every row.
    """

    version: int
    where: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit is to do.

    Attributes:
        files: files to add, which lie in the table's folder already.
        spec: what the writer saw of the table and wrote them for, or, when the table is made by
            this commit, what it is to be.
        remove: ``"all"`` files, those whose names start with a prefix, or None.
        remove_paths: files to remove, as their paths are on disk; each must be in the table.
        read: the rows that the change was decided on; a file that came later and may hold such a
            row ends the change.
        evolve: what the table is from this commit on.
        change_files: files below ``_change_data/`` that tell which rows the commit changed.
        data_change: False when the files added hold just the rows of the files removed.
        keep_stamps: the files added have stamps of their own, so that reading keeps its order.
        operation: what the log calls the commit; by default ``WRITE``.
        app_id: the transaction this change is; the same one never happens twice.
        replaces: a second change with the same ``app_id`` takes the place of the first, as long as
            files of the first are there.
        if_version: commit only on this newest version; -1: only if there is no table.
        noted: what the commit keeps of itself, JSON.
        attempt: unique to the attempt.
        points: prefix of the fault points, for tests; None passes none.

    Raises:
        ConfigError: ``remove`` and ``remove_paths`` are both given, or ``data_change`` is False
            and nothing is removed.
    """

    files: tuple[WrittenFile, ...] = ()
    spec: TableSpec
    remove: str | None = None
    remove_paths: tuple[str, ...] = ()
    read: ReadSet | None = None
    evolve: TableSpec | None = None
    change_files: tuple[WrittenFile, ...] = ()
    data_change: bool = True
    keep_stamps: bool = False
    operation: str = "WRITE"
    app_id: str | None = None
    replaces: bool = False
    if_version: int | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)
    attempt: str = ""
    points: str | None = None

    def __post_init__(self) -> None:
        if self.remove is not None and self.remove_paths:
            raise ConfigError("a change names its removals in one way", self.remove, None, "remove")
        if not self.data_change and not self.remove_paths:
            raise ConfigError("only rows of removed files can be the same rows", None)
        if self.keep_stamps and any(file.stamp is None for file in self.files):
            raise ConfigError("a file of this change has no stamp of its own", None)

    @property
    def removes(self) -> bool:
        """Whether files leave the table."""
        return bool(self.remove) or bool(self.remove_paths)

    @property
    def wrote(self) -> TableSpec:
        """What the added files were written for."""
        return self.evolve or self.spec


@dataclass(frozen=True, slots=True)
class Committed:
    """What came of a change: its version, and what that version's commit noted."""

    version: int
    noted: Mapping[str, Any]
    applied_before: bool = False


class SchemaMoved(Exception):  # noqa: N818
    """The table's columns or rules are not those that the files were written for."""


SCHEMA_TRIES = 30
"""How often a call fits its rows to a table whose columns rivals change: each try reads the data
again, and each rival's new column is one.
"""


class FilesMoved(Exception):  # noqa: N818
    """A file to be removed is gone, or rows came that the decision did not know.

    Nothing was committed. The caller decides again from a fresh snapshot.
    """


class Refused(Exception):  # noqa: N818
    """The change cannot be put into a log entry, and for certain nothing was committed."""


def version_conflict(log: TableLog, expected: int, version: int) -> CommitConflictError:
    """The error when the newest version is not the expected one."""
    return CommitConflictError(
        f"table {log.name!r} is not at version {expected}",
        f"version {version}",
        "Nothing was committed. Read the newest version and decide again.",
        "if_version",
    )
