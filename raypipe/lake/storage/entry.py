"""A file as a listing tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below a root.

    Attributes:
        path: relative to the root, with slashes.
        size: bytes.
        modified: when it was last written, naive UTC, by the clock of the place.
    """

    path: str
    size: int
    modified: datetime
