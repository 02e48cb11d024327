"""A file that a commit may add to a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that lies in a table's folder and is not in its log yet.

    Attributes:
        path: relative to the table's folder.
        size_bytes: its size.
        stats: Delta's statistics as JSON.
        partition: values of the partition columns in Delta's text form.
    """

    path: str
    size_bytes: int
    stats: str
    partition: tuple[tuple[str, str | None], ...] = ()
