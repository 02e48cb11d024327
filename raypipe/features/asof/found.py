"""What each row that asks has found so far, and how findings of parts come together. Pure.

A feature row is *known* from one time on, and is *of* an event time that is not later. Of all rows
that are known, the one of the latest event counts; of those of one event, the one known last; of
those, the last in the table's order. Findings merge by exactly this rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raypipe.features.asof.asked import Asked

    Ints = NDArray[np.int64]

NEVER = np.iinfo(np.int64).min
"""The time of what was not found."""


@dataclass(frozen=True, slots=True)
class Found:
    """Feature rows found for some slots; every slot at most once.

    Attributes:
        slot: the slots, ascending.
        row: the feature rows' numbers; they ascend in the table's order.
        time: the event times.
        known: since when each is known; None where that is the event time.
    """

    slot: Ints
    row: Ints
    time: Ints
    known: Ints | None

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.slot.nbytes * (3 if self.known is None else 4)


class Best:
    """The best finding of each slot."""

    def __init__(self, slots: int, *, bitemporal: bool) -> None:
        self.row = np.full(slots, -1, np.int64)
        self.time = np.full(slots, NEVER, np.int64)
        self.known = np.full(slots, NEVER, np.int64) if bitemporal else None

    def add(self, slot: Ints, row: Ints, time: Ints) -> None:
        """Rows in the table's order, later than all before; known since their event time."""
        np.maximum.at(self.time, slot, time)
        wins = np.flatnonzero(time == self.time[slot])
        # Of assignments to one place the last stays, which is the last in the table's order.
        self.row[slot[wins]] = row[wins]

    def take(self, more: Found) -> None:
        """Findings among rows that stand later in the table than all before."""
        time, known = self.time[more.slot], more.known
        wins = more.time >= time
        if known is not None and self.known is not None:
            wins = (more.time > time) | (wins & (known >= self.known[more.slot]))
        at = more.slot[wins]
        self.row[at], self.time[at] = more.row[wins], more.time[wins]
        if known is not None and self.known is not None:
            self.known[at] = known[wins]

    def found(self) -> Found:
        """What was found, without the empty slots."""
        slot = np.flatnonzero(self.row >= 0)
        known = None if self.known is None else self.known[slot]
        return Found(slot, self.row[slot], self.time[slot], known)


def best_of(slot: Ints, row: Ints, time: Ints, known: Ints) -> Found:
    """Of rows in the table's order the best for each slot."""
    order = np.lexsort((known, time, slot))
    last = order[np.flatnonzero(np.diff(slot[order], append=np.int64(-1)) != 0)]
    return Found(slot[last], row[last], time[last], known[last])


def carried(asked: Asked, best: Best) -> Best:
    """Each slot with the best of its own and of the earlier ones of its key."""
    found = best.found()
    if not len(found.slot):
        return best
    if found.known is None:
        rank = np.arange(1, len(found.slot) + 1)  # within a key, later slots found later events
    else:
        order = np.lexsort((found.row, found.known, found.time))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(1, len(order) + 1)
    # The code's own band of numbers: what an earlier key found is below it.
    of = np.empty(len(found.slot) + 1, np.int64)
    of[rank] = np.arange(len(found.slot))
    band = asked.code * np.int64(len(of))
    top = band.copy()
    top[found.slot] += rank
    top = np.maximum.accumulate(top) - band
    some = np.flatnonzero(top > 0)
    source = of[top[some]]
    out = Best(asked.slots, bitemporal=found.known is not None)
    out.row[some], out.time[some] = found.row[source], found.time[source]
    if found.known is not None and out.known is not None:
        out.known[some] = found.known[source]
    return out


def best_between(begin: Ints, end: Ints, row: Ints, time: Ints, known: Ints, slots: int) -> Found:
    """The best for each slot of rows that each are known to the slots ``begin <= slot < end``.

    A range is covered by two blocks of one power of two. The best of each block is found level by
    level, from the longest down, and handed to its two halves: slots * log(slots) steps for any
    number of ranges, however they lie.
    """
    some = np.flatnonzero(begin < end)
    begin, end, row, time, known = (one[some] for one in (begin, end, row, time, known))
    order = np.lexsort((known, time))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    level = np.frexp(end - begin)[1].astype(np.int64) - 1
    block = np.full(slots, -1, np.int64)
    for number in range(int(level.max(initial=-1)), -1, -1):
        at = np.flatnonzero(level == number)
        np.maximum.at(block, begin[at], rank[at])
        np.maximum.at(block, end[at] - (1 << number), rank[at])
        if number:
            half = 1 << number - 1
            moved = np.maximum(block[half:], block[:-half])
            block = np.concatenate([block[:half], moved])
    slot = np.flatnonzero(block >= 0)
    source = order[block[slot]]
    return Found(slot, row[source], time[source], known[source])
