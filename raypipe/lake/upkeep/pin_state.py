"""Who needs which version of which table: a pure fold over the events of the ``pins`` table.

Three things happen. A holder pins a version, for ever or until a time; it releases it; or a vacuum
says, before it deletes anything, which versions of a table it makes unreadable. Each is decided on
a known version of the pins table and committed only if that is still the newest. So of a pin and a
vacuum that meet, one sees the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Kind = Literal["pinned", "released", "vacuumed"]
PINNED: Kind = "pinned"
RELEASED: Kind = "released"
VACUUMED: Kind = "vacuumed"
Ranges = tuple[tuple[int, int], ...]
"""Versions from the first number up to, and without, the second; ascending, apart."""

CLOCKS = timedelta(minutes=5)
"""A lease counts for so long after its end, for clocks of two machines differ."""


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """A version that somebody needs.

    Attributes:
        table: the table's name.
        version: its version.
        holder: who needs it, in words that a reader of a report understands.
        until: when the need ends by itself (naive UTC); None: never.
    """

    table: str
    version: int
    holder: str
    until: datetime | None = field(default=None, compare=False)

    def alive(self, now: datetime) -> bool:
        """Whether it counts at a time (naive UTC)."""
        return self.until is None or self.until + CLOCKS > now


@dataclass(frozen=True, slots=True)
class PinEvent:
    """One fact of the pins table. ``gone`` is set for a vacuum only."""

    kind: Kind
    table: str
    version: int | None = None
    holder: str | None = None
    until: datetime | None = None
    gone: Ranges = ()

    def to_row(self) -> dict[str, Any]:
        """The event as a row of the table."""
        return {
            "kind": self.kind,
            "table": self.table,
            "version": self.version,
            "holder": self.holder,
            "until": self.until,
            "gone": json.dumps(self.gone) if self.kind == VACUUMED else None,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PinEvent:
        """The event of a row."""
        gone = tuple((int(a), int(b)) for a, b in json.loads(row["gone"] or "[]"))
        return cls(row["kind"], row["table"], row["version"], row["holder"], row["until"], gone)


@dataclass(frozen=True, slots=True)
class PinState:
    """What the events amount to: the pins not released, and the versions that vacuums took."""

    pins: Mapping[tuple[str, int, str], Pin] = field(default_factory=dict)
    gone: Mapping[str, Ranges] = field(default_factory=dict)

    def alive(self, now: datetime, table: str | None = None) -> tuple[Pin, ...]:
        """The pins that count, of one table or of all, sorted."""
        found = (p for p in self.pins.values() if p.alive(now) and table in (None, p.table))
        return tuple(sorted(found))

    def is_gone(self, table: str, version: int) -> bool:
        """Whether a vacuum took files of a version."""
        return any(a <= version < b for a, b in self.gone.get(table, ()))


def fold(events: Iterable[PinEvent]) -> PinState:
    """The state after events, in the order in which they were committed."""
    pins: dict[tuple[str, int, str], Pin] = {}
    gone: dict[str, Ranges] = {}
    for event in events:
        if event.kind == VACUUMED:
            gone[event.table] = merge_ranges([*gone.get(event.table, ()), *event.gone])
        elif event.version is not None and event.holder is not None:
            key = (event.table, event.version, event.holder)
            if event.kind == PINNED:
                pins[key] = Pin(*key, event.until)
            else:
                pins.pop(key, None)
    return PinState(pins, gone)


def merge_ranges(ranges: Iterable[Sequence[int]]) -> Ranges:
    """The same versions in as few ranges as there are gaps; empty ones are left out."""
    out: list[tuple[int, int]] = []
    for low, high in sorted((int(a), int(b)) for a, b in ranges):
        if low >= high:
            continue
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return tuple(out)
