"""Looks the rows of a table's parts up among the rows that ask. Pure but for reading the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.features.asof.found import Best, Found, best_between, best_of, carried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from raypipe.core.scan import ScanPart
    from raypipe.features.asof.asked import Asked

    Ints = NDArray[np.int64]

_ALWAYS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a feature table that the search reads.

    Attributes:
        keys: the key, in the order of the entities' key.
        time: of which event time a row is.
        known: since when it is known; None for since its event.
        until: from when on it is not known any more, or null; None for ever.
    """

    keys: tuple[str, ...]
    time: str
    known: str | None = None
    until: str | None = None

    @property
    def columns(self) -> list[str]:
        """All of them, each once."""
        more = [name for name in (self.known, self.until) if name is not None]
        return list(dict.fromkeys([*self.keys, self.time, *more]))


def search(asked: Asked, shape: Shape, parts: Sequence[tuple[int, ScanPart]]) -> Found:
    """The best finding of each slot among the rows of parts that follow each other.

    Args:
        asked: who asks.
        shape: the columns.
        parts: parts in their order, each with the number of its first row.

    Returns:
        Findings that ``Best.take`` merges with those of the parts before.
    """
    best = nothing(asked, shape)
    for begin, part in parts:
        _look_up(best, asked, shape, part.read(shape.columns), begin)
    return best.found()


def nothing(asked: Asked, shape: Shape) -> Best:
    """Nothing found for anyone."""
    return Best(asked.slots, bitemporal=shape.known is not None or shape.until is not None)


def settle(asked: Asked, shape: Shape, best: Best, tolerance: int | None) -> Ints:
    """The number of the feature row that each row of the entities knows, -1 for none.

    Args:
        asked: who asks.
        shape: the columns.
        best: what the parts of the table gave, merged in their order.
        tolerance: how old the event may be at most, in the unit of the times.
    """
    if shape.until is None:
        best = carried(asked, best)
    row = best.row
    if tolerance is not None:
        # An age in floats is enough to see that the difference of whole numbers would overflow.
        far = asked.time.astype(np.float64) - best.time > 2.0**62
        row = np.where(far | (asked.time - best.time > tolerance), np.int64(-1), row)
    out = np.full(asked.height, -1, np.int64)
    out[asked.rows] = row
    return out


def _look_up(best: Best, asked: Asked, shape: Shape, frame: pl.DataFrame, begin: int) -> None:
    if not frame.height or not asked.slots:
        return
    code = asked.codes.of(frame.select(shape.keys))
    time = numbers(frame[shape.time], _ALWAYS)
    since = time
    if shape.known is not None:
        since = np.maximum(time, numbers(frame[shape.known], _ALWAYS))
    asked_for = (code >= 0) & (code < len(asked.starts) - 1) & (since <= asked.times[-1])
    for name in (shape.time, shape.known):
        if name is not None and frame[name].null_count():
            asked_for &= frame[name].is_not_null().to_numpy()
    some = None if asked_for.all() else np.flatnonzero(asked_for)
    if some is not None:
        code, time, since = code[some], time[some], since[some]
    slot = asked.first_from(code, since)
    ends = asked.starts[code + 1]
    there = np.flatnonzero(slot < ends)
    rows = there if some is None else some[there]
    slot, time = slot[there], time[there]
    if best.known is None:
        best.add(slot, rows + begin, time)
        return
    since = since[there] if shape.known is None else numbers(frame[shape.known], 0)[rows]
    if shape.until is None:
        best.take(best_of(slot, rows + begin, time, since))
        return
    until = numbers(frame[shape.until], _ALWAYS)[rows]
    ends = ends[there]
    end = np.minimum(asked.first_from(code[there], until), ends)
    endless = frame[shape.until].is_null().to_numpy()[rows]
    end = np.where(endless, ends, end)
    best.take(best_between(slot, end, rows + begin, time, since, asked.slots))


def numbers(column: pl.Series, null: int) -> Ints:
    """Times as whole numbers of their own unit."""
    physical = column.to_physical().cast(pl.Int64)
    return (physical.fill_null(null) if physical.null_count() else physical).to_numpy()
