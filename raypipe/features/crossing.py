"""Which of two ways is faster for so many rows, from what was timed; it times nothing itself.

One by one, every row takes as long again. A frame has a cost of its own as well: one of more rows
takes no less time, and no more for each of its rows. So let a frame of ``m`` rows take as long as
``equal`` rows one by one. If ``equal`` is at least ``m``, up to ``equal`` rows are faster one by
one: fewer than ``m``, as a row of a smaller frame costs more, and more, as a larger frame takes
longer. If it is less, ``equal`` rows and more are faster as a frame, for the same reasons. Of what
lies between the two nothing is known, and it is to be timed when it is asked for.

A timing that is wrong by a factor makes a choice that is slower by no more than that factor.

Before anything is timed a guess may say what is clear (``features.frame_cost``). It is doubted as
a timing is, and what is timed holds against it. What recipes of one kind learn they share.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict

# A frame of more rows has its own cost spread so thin that it is as one of so many.
LARGEST = 16_384
# Two numbers of rows this near are one: what is between them takes as long either way.
NEAR = 1.1
# Calls after which what was timed is doubted for the first time, and then twice as many each time.
TRUSTED = 100
# Kinds of recipes that are remembered in a process.
KINDS = 1_024


class Crossing:
    """The numbers of rows for which each way is known to be faster.

    Attributes:
        until: so many rows and fewer are faster one by one.
        since: so many rows and more are faster as a frame.
    """

    def __init__(self) -> None:
        self.until = 0.0
        self.since = math.inf
        self._left = self._trusted = TRUSTED

    @property
    def blank(self) -> bool:
        """Whether nothing is known or guessed."""
        return self.until == 0.0 and self.since == math.inf

    def guess(self, until: float, since: float) -> None:
        """Takes what is clear before anything is timed."""
        if self.blank:  # half of no end would be no end: it could not be doubted
            self.until, self.since = min(until, 4.0 * LARGEST), since

    def one_by_one(self, rows: int) -> bool | None:
        """Whether so many rows are faster one by one; None where it has to be timed.

        Each call is taken for one use of the answer. What was timed on a busy machine may be wrong,
        so after some calls numbers of rows within a factor of two are to be timed again.
        """
        self._left -= 1
        if self._left < 0:
            self._trusted = self._left = 2 * self._trusted
            self.until, self.since = self.until / 2, 2 * self.since
        if rows <= self.until:
            return True
        rows = min(rows, LARGEST)
        if rows <= self.until:
            return True
        return False if rows >= self.since else None

    def learn(self, rows: int, equal: float) -> None:
        """Takes a timing; where it speaks against an earlier one, it is the one that holds.

        Args:
            rows: how many rows were timed as a frame, at most ``LARGEST``.
            equal: how many rows take as long one by one.
        """
        if equal >= rows:
            self.until = max(self.until, equal)
            self.since = max(self.since, self.until)
        else:
            self.since = min(self.since, equal)
            self.until = min(self.until, self.since)
        if self.since <= NEAR * self.until:
            self.until = self.since = math.sqrt(self.until * self.since)


_known: OrderedDict[str, Crossing] = OrderedDict()
_lock = threading.Lock()


def remembered(kind: str) -> Crossing:
    """What this process knows of recipes of a kind; the kinds asked for last are kept."""
    with _lock:
        found = _known.pop(kind, None) or Crossing()
        _known[kind] = found
        while len(_known) > KINDS:
            _known.popitem(last=False)
        return found


def forget() -> None:
    """Nothing is known of any kind any more; who has a ``Crossing`` keeps it."""
    with _lock:
        _known.clear()
