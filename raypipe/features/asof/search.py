"""Which row of a feature table each entity row may know: a search over sorted numbers. Pure.

Both sides of a key become whole numbers, ``code * width + time``, so that one sort of one column
of numbers and one binary search answer all rows. The feature rows may come in chunks: what one
chunk finds is merged into what those before it found, so a table need never be in memory as a
whole, and a key with most of the rows is cut like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

CODE = "#code"
TIME = "#time"
ROW = "#row"
NEVER = np.iinfo(np.int64).min
"""The time of a row that was not found."""

_MOST = 2**63


@dataclass(frozen=True)
class Asked:
    """The rows that ask, sorted by key and time.

    Attributes:
        keys: each key that asks, with its code.
        on: the key columns.
        rows: numbers of the rows in the order of (code, time); rows that cannot find anything,
            with a null key or time, are not among them.
        code: their codes, in that order.
        time: their times as whole numbers, in that order.
        height: rows of the whole frame.
    """

    keys: pl.DataFrame
    on: tuple[str, ...]
    rows: Ints
    code: Ints
    time: Ints
    height: int

    @classmethod
    def of(cls, frame: pl.DataFrame, on: Sequence[str], time: str) -> Asked:
        """The index over the rows of a frame."""
        keyed = frame.select(*on, pl.col(time).to_physical().cast(pl.Int64).alias(TIME))
        whole = keyed.with_row_index(ROW).drop_nulls([*on, TIME])
        keys = whole.select(on).unique().with_row_index(CODE).with_columns(pl.col(CODE).cast(pl.Int64))
        coded = whole.join(keys, on=list(on), how="left", maintain_order="left")
        code = coded[CODE]
        order = pl.DataFrame([code, coded[TIME]]).select(
            pl.arg_sort_by(CODE, TIME, maintain_order=True)
        )
        at = order.to_series()
        return cls(
            keys,
            tuple(on),
            coded[ROW].cast(pl.Int64).gather(at).to_numpy(),
            code.gather(at).to_numpy(),
            coded[TIME].gather(at).to_numpy(),
            frame.height,
        )

    @cached_property
    def last(self) -> int:
        """The latest time that is asked for."""
        return int(self.time.max()) if len(self.time) else NEVER

    @cached_property
    def first(self) -> int:
        """The earliest time that is asked for."""
        return int(self.time.min()) if len(self.time) else NEVER

    def scale(self, low: int) -> Scale:
        """How code and time become one number when the earliest time of all is ``low``."""
        shift = 0
        while ((self.last >> shift) - (low >> shift) + 1) * (self.keys.height + 1) >= _MOST:
            shift += 1
        return Scale(low >> shift, shift, (self.last >> shift) - (low >> shift) + 1)


@dataclass(frozen=True, slots=True)
class Scale:
    """``code * width + (time >> shift) - low``: the order of the numbers is that of (code, time).

    Attributes:
        low: the earliest time, shifted.
        shift: bits of a time that do not fit; times that differ only there share a number.
        width: how far apart two codes are.
    """

    low: int
    shift: int
    width: int

    def of(self, code: Ints, time: Ints) -> Ints:
        """The numbers."""
        number = code * self.width
        number += time >> self.shift if self.shift else time
        number -= self.low
        return number


@dataclass(frozen=True)
class Found:
    """What each asker knows, in the order of the askers.

    Attributes:
        row: number of the feature row, -1 for none.
        time: its time; ``NEVER`` for none.
    """

    row: Ints
    time: Ints

    @classmethod
    def nothing(cls, count: int) -> Found:
        """No row for anyone."""
        return cls(np.full(count, -1, np.int64), np.full(count, NEVER, np.int64))

    def then(self, later: Found) -> Found:
        """Merged with what rows later in the table's order gave; of equal times they count."""
        wins = (later.row >= 0) & (later.time >= self.time)
        return Found(
            np.where(wins, later.row, self.row), np.where(wins, later.time, self.time)
        )

    def within(self, asked: Asked, most: int | None) -> Found:
        """Without rows that are older than the tolerance, in the unit of the times."""
        if most is None:
            return self
        old = (self.row >= 0) & (asked.time - most > self.time)
        return Found(np.where(old, -1, self.row), np.where(old, NEVER, self.time))


def search(asked: Asked, chunk: pl.DataFrame, when: str, begin: int = 0) -> Found:
    """For each asker the last row of a chunk with its key and a time that is not later.

    Args:
        asked: who asks.
        chunk: key columns and time of feature rows; rows with a null there are known to nobody.
        when: the chunk's time column.
        begin: the number of the chunk's first row.
    """
    mine = matched(asked, chunk, when)
    if mine.is_empty():
        return Found.nothing(len(asked.rows))
    code, time = mine[CODE].to_numpy(), mine[TIME].to_numpy()
    scale = asked.scale(min(asked.first, int(time.min())))
    number = scale.of(code, time)
    order = _order(number, time, exact=not scale.shift)
    number, time = number[order], time[order]
    wanted = scale.of(asked.code, asked.time)
    at = np.searchsorted(number, wanted, side="right") - 1
    if scale.shift:
        _step_back(at, number, time, wanted, asked.time)
    known = (at >= 0) & (number[at] >= asked.code * scale.width)
    row = mine[ROW].to_numpy()[order[at]].astype(np.int64) + begin
    return Found(np.where(known, row, -1), np.where(known, time[at], NEVER))


def _order(number: Ints, time: Ints, *, exact: bool) -> Ints:
    """The order of (number, time), where of equal rows only the last of the table stays."""
    by = pl.DataFrame({"n": number}).select(pl.arg_sort_by("n", maintain_order=True))
    order = by.to_series().to_numpy()
    number = number[order]
    same = number[1:] == number[:-1]
    if not same.any():
        return order
    if not exact:  # a few rows share a number: these are put in the order of their times
        among = np.flatnonzero(np.append(same, False) | np.append(False, same))
        part = order[among]
        order = order.copy()
        order[among] = part[np.lexsort((time[part], number[among]))]
        time = time[order]
        same &= time[1:] == time[:-1]
    return order[np.flatnonzero(np.append(~same, True))]


def _step_back(at: Ints, number: Ints, time: Ints, wanted: Ints, until: Ints) -> None:
    """Moves places back, among rows of one number, to the last whose time is not too late."""
    late = np.flatnonzero((at >= 0) & (number[at] == wanted) & (time[at] > until))
    if not len(late):
        return
    high = at[late]  # too late
    low = np.searchsorted(number, wanted[late], side="left") - 1  # of a lesser number
    while (apart := high - low > 1).any():
        middle = (low + high) // 2
        good = time[middle] <= until[late]
        low = np.where(apart & good, middle, low)
        high = np.where(apart & ~good, middle, high)
    at[late] = low


def matched(asked: Asked, chunk: pl.DataFrame, when: str) -> pl.DataFrame:
    """Code, time and number of the chunk's rows that some asker could know, in their order."""
    frame = chunk.lazy().select(*asked.on, pl.col(when).to_physical().cast(pl.Int64).alias(TIME))
    return (
        frame.with_row_index(ROW)
        .filter(pl.col(TIME) <= asked.last)
        .join(asked.keys.lazy(), on=list(asked.on), how="inner", maintain_order="left")
        .select(CODE, TIME, ROW)
        .collect()
    )
