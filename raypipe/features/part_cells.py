"""The rows of one part as cells: a cell for each value where they are few, else cut by counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raypipe.features.cells import EXACT, STEP, Cells
from raypipe.features.keys import Room, in_order, keys_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

SHARE = 256
"""A cell of a part with more than this share of its rows is cut finer."""

_TOP = 46  # bits that the first cells leave open
_MANY = 1 << 18  # of so many rows the first cells are quarters of the others', for little
_RANGE = 65_536  # whole numbers of no wider a range are counted by place
_SCALES = (1.0, 10.0, 100.0, 1_000.0)  # and decimals, times one of these
_WIDE = 2.0**40
_SAMPLE, _OFTEN = 1_024, 32  # a value that a sample holds so often gets a cell of its own


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one part."""

    keys: Ints
    labels: Floats | None
    known: npt.NDArray[np.bool_] | None

    def where(self, rows: npt.NDArray[np.bool_]) -> _Rows:
        """Only some of them."""
        labels = None if self.labels is None else self.labels[rows]
        return _Rows(self.keys[rows], labels, None if self.known is None else self.known[rows])

    def cells(self, code: Ints, low: Ints, bits: int, counts: Ints, there: Ints) -> Cells:
        """Cells of the rows.

        Args:
            code: of each row.
            low: the least key of each code that is wanted.
            bits: how many are open.
            counts: rows by code.
            there: the codes that are wanted.
        """
        rows = counts[there]
        opened = np.full(len(there), bits)
        if self.labels is None:
            return Cells(low, opened, rows, np.zeros_like(rows), np.zeros(len(there)))
        labelled, size = rows, len(counts)
        if self.known is not None:
            labelled = np.bincount(code[self.known], minlength=size)[there]
        sums = np.bincount(code, self.labels, minlength=size)[there]
        return Cells(low, opened, rows, labelled, np.asarray(sums, np.float64))


def part_cells(
    values: Floats, labels: Floats | None, known: npt.NDArray[np.bool_] | None, room: Room
) -> Cells:
    """The cells of the rows of a part; see ``Spread.update`` for what is given."""
    whole, many = _whole_cells(values, labels, known, room)
    if whole is not None:
        return whole
    rows = _Rows(keys_of(values, room), labels, known)
    few = None if many else _few_values(rows.keys)
    if few is not None:
        code = np.searchsorted(few, rows.keys)
        return rows.cells(code, few, 0, np.bincount(code), np.arange(len(few)))
    return _cut_cells(rows, room)


def _whole_cells(
    values: Floats, labels: Floats | None, known: npt.NDArray[np.bool_] | None, room: Room
) -> tuple[Cells | None, bool]:
    """The cells of whole numbers, or of decimals of up to three places, of a small range: counted
    without sorting; else None, and whether there are surely too many values for a cell each.
    """
    low, high = float(values.min()), float(values.max())
    if not max(-low, high) < _WIDE:
        return None, False
    ahead = values[:64]
    scales = (scale for scale in _SCALES if np.array_equal(np.rint(ahead * scale) / scale, ahead))
    scale = next(scales, None)
    if scale is None or (high - low) * scale > min(_RANGE, 4 * len(values) + 64):
        return None, False
    whole, again = room.floats(0, len(values)), room.floats(1, len(values))
    np.multiply(values, scale, out=whole)
    np.rint(whole, out=whole)
    np.divide(whole, scale, out=again)
    if not np.array_equal(again, values):
        return None, False
    least = whole.min()
    whole -= least
    code = room.ints(1, len(values))
    np.copyto(code, whole, casting="unsafe")
    counts = np.bincount(code)
    there = np.flatnonzero(counts)
    if len(there) > EXACT:
        return None, True
    rows = _Rows(code, labels, known)
    return rows.cells(code, keys_of((there + least) / scale), 0, counts, there), False


def _few_values(keys: Ints) -> Ints | None:
    """The distinct keys when they are few; else None."""
    # More distinct values in the first rows settle it without sorting all.
    ahead = EXACT + EXACT // 4
    if len(keys) > 2 * ahead:
        first = keys[:ahead]
        if _buckets(first) > EXACT or len(_distinct(first)) > EXACT:
            return None
    values = _distinct(keys)
    return values if len(values) <= EXACT else None


def _buckets(keys: Ints) -> int:
    """How many of 2**17 buckets they fall into: no more than there are distinct ones."""
    bucket = (keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - 17)
    seen = np.zeros(1 << 17, np.bool_)
    seen[bucket] = True
    return int(np.count_nonzero(seen))


def _cut_cells(rows: _Rows, room: Room) -> Cells:
    most = len(rows.keys) // SHARE
    found = []
    # Single values of many rows, which cutting would only find after many steps.
    sample = rows.keys[:: max(1, len(rows.keys) // _SAMPLE)]
    values, counts = np.unique(sample, return_counts=True)
    for value in values[counts >= _OFTEN]:
        here = rows.keys == value
        one = rows.where(here)
        count = np.array([len(one.keys)])
        zero = np.zeros(1, np.int64)
        found.append(one.cells(np.zeros(count[0], np.int64), value[None], 0, count, zero))
        rows = rows.where(~here)
    if not len(rows.keys):
        return Cells.joined(found)
    bits = _TOP if len(rows.keys) < _MANY else _TOP - 2
    code = room.ints(1, len(rows.keys))
    np.right_shift(rows.keys, np.int64(bits), out=code)
    nearest, least = _closed_up(code, room)
    counts = np.bincount(code)
    there = np.flatnonzero(counts)
    low = _opened(there + least, nearest) << np.int64(bits)
    if (counts > most).any() and len(counts) << STEP <= _RANGE:
        finer = _finer(rows, code, low, bits, counts, most, room)
        if finer is not None:
            return Cells.joined([*found, finer])
    while True:
        heavy = counts > most
        cut = heavy[there]
        if not bits or not cut.any():
            found.append(rows.cells(code, low, bits, counts, there))
            return Cells.joined(found)
        found.append(rows.cells(code, low[~cut], bits, counts, there[~cut]))
        inside = heavy[code]
        rank = np.cumsum(heavy) - 1
        code = rank[code[inside]]
        rows = rows.where(inside)
        step = min(STEP, bits)
        bits -= step
        code = (code << step) + ((rows.keys >> np.int64(bits)) & np.int64(2**step - 1))
        inner = np.arange(2**step) << np.int64(bits)
        lows = (low[cut][:, None] + inner[None, :]).ravel()
        counts = np.bincount(code, minlength=len(lows))
        there = np.flatnonzero(counts)
        low = lows[there]


def _finer(
    rows: _Rows, code: Ints, low: Ints, bits: int, counts: Ints, most: int, room: Room
) -> Cells | None:
    """The cells where it is enough to cut the heavy ones once: by counting all rows in finer
    cells, which takes less than picking out the rows of the heavy ones. Else None.
    """
    inside = np.int64(2**STEP - 1)
    fine = room.ints(2, len(code))
    np.right_shift(rows.keys, np.int64(bits - STEP), out=fine)
    fine &= inside
    fine |= code << np.int64(STEP)
    counted = np.bincount(fine, minlength=len(counts) << STEP)
    if counted.max() > most:
        return None
    there = np.flatnonzero(counted)
    outer = there >> STEP
    lows = np.zeros(len(counts), np.int64)
    lows[np.flatnonzero(counts)] = low
    cut = counts[outer] > most
    inner = np.where(cut, there & inside, 0) << np.int64(bits - STEP)
    cells = rows.cells(fine, lows[outer] + inner, 0, counted, there)
    opened = np.where(cut, bits - STEP, bits)
    return Cells(cells.low, opened, cells.rows, cells.labelled, cells.sums).summed()


def _closed_up(code: Ints, room: Room) -> tuple[np.int64, np.int64]:
    """Makes codes small, in place and in their order, so that counting them takes little room.

    Between negative and positive ones lie all those of numbers nearer to 0 than any that is there:
    most of the room where there are both.

    Returns:
        How near to 0 the nearest is, of both signs, and the least code then, which becomes 0.
    """
    least, nearest = code.min(), np.int64(0)
    if least < 0 <= code.max():
        sign = room.ints(2, len(code))
        np.right_shift(code, np.int64(63), out=sign)
        code ^= sign
        nearest = code.min()
        code -= nearest
        code ^= sign
        least = code.min()
    code -= least
    return nearest, least


def _opened(code: Ints, nearest: np.int64) -> Ints:
    """The codes before they were brought nearer to 0."""
    sign = code >> np.int64(63)
    return ((code ^ sign) + nearest) ^ sign


def _distinct(keys: Ints) -> Ints:
    ordered = in_order(keys)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
