"""A file that a commit may add to a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that lies in a table's folder and is not in its log yet.

    Attributes:
        path: relative to the table's folder, as it is on disk.
        size_bytes: its size.
        stats: Delta's statistics as JSON.
        partition: values of the partition columns in Delta's text form.
        stamp: the time that orders it among the table's files, in milliseconds, where the commit
            keeps the stamps of its files; otherwise the commit's own is taken.
        deletion_vector: which of its rows are deleted, as the log describes it.
    """

    path: str
    size_bytes: int
    stats: str
    partition: tuple[tuple[str, str | None], ...] = ()
    stamp: int | None = None
    deletion_vector: Mapping[str, Any] | None = None
