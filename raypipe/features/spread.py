"""How numbers are spread, and the labels with them: exact for few values, else by cells.

A cell is an interval of floats: those whose keys (``features.keys``) begin with the same bits. Each
row counts in one cell. A part whose distinct values are few has a cell for each. Another one has
cells of 1/64 of a power of two (1/256 in a part of many rows), and where a cell holds many rows of
the part, the sixteenths of it, and so on. Parts are merged by adding up equal cells: integers, so
the order is of no matter, until there are more cells than are kept; then the finest go into the
larger ones that hold them, as long as those stay light.

Between two cells that do not overlap, the number of rows below is exact. Inside a cell it is not
known, and a cell that another part has cut finer is the uncertainty of a cut there: at most
``1 / SHARE`` of the rows for each size of cells, and in practice of one or none. ``Cut.error``
tells what it is.

Source: Shrivastava, Buragohain, Agrawal, Suri, "Medians and beyond: new aggregation techniques for
sensor networks" (SenSys 2004), with cells cut by counting in place of sorting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from raypipe.features.keys import Room, floats_of, in_order, keys_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

EXACT = 8_192
"""Distinct values of a part that are counted one by one."""

SHARE = 256
"""A cell of a part with more than this share of its rows is cut finer."""

MOST = 32_768
"""Cells that are kept before they are put together."""

_TOP, _STEP = 46, 4  # bits that the first cells leave open, and that a finer one fixes
_MANY = 1 << 18  # of so many rows the first cells are quarters of the others', for little
_COARSER = (*range(2, 63, _STEP),)
_RANGE = 65_536  # whole numbers of no wider a range are counted by place
_SCALES = (1.0, 10.0, 100.0, 1_000.0)  # and decimals, times one of these
_WIDE = 2.0**40
_SAMPLE, _OFTEN = 1_024, 32  # a value that a sample holds so often gets a cell of its own


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells with the rows in them.

    Attributes:
        low: the least key of each.
        open: how many bits of the key are open; 0 for a single value.
        rows: rows in it.
        labelled: those with a label.
        sums: the sum of their labels.
    """

    low: Ints
    open: Ints
    rows: Ints
    labelled: Ints
    sums: Floats

    @classmethod
    def joined(cls, many: Sequence[Cells]) -> Cells:
        """All of them, one after the other."""
        if len(many) == 1:
            return many[0]
        return cls(
            np.concatenate([one.low for one in many]),
            np.concatenate([one.open for one in many]),
            np.concatenate([one.rows for one in many]),
            np.concatenate([one.labelled for one in many]),
            np.concatenate([one.sums for one in many]),
        )

    def summed(self) -> Cells:
        """Each cell once, in the order of keys, the larger of two that begin alike first."""
        order = np.lexsort((-self.open, self.low))
        low, bits, rows = self.low[order], self.open[order], self.rows[order]
        labelled, sums = self.labelled[order], self.sums[order]
        new = np.concatenate(([True], (low[1:] != low[:-1]) | (bits[1:] != bits[:-1])))
        if new.all():
            return Cells(low, bits, rows, labelled, sums)
        starts = np.flatnonzero(new)
        return Cells(
            low[starts],
            bits[starts],
            np.add.reduceat(rows, starts),
            np.add.reduceat(labelled, starts),
            np.add.reduceat(sums, starts),
        )

    def coarser(self, least: int) -> Cells:
        """With those cells put together that hold at most so many rows, the finest first."""
        cells = self
        for bits in _COARSER:
            if len(cells.low) <= EXACT:
                break
            outer = cells.low >> np.int64(bits)
            starts = np.flatnonzero(np.concatenate(([True], outer[1:] != outer[:-1])))
            held = np.add.reduceat(cells.rows, starts)
            light = np.repeat(held <= least, np.diff(np.append(starts, len(outer))))
            light &= cells.open < bits
            low = np.where(light, outer << np.int64(bits), cells.low)
            opened = np.where(light, bits, cells.open)
            cells = Cells(low, opened, cells.rows, cells.labelled, cells.sums).summed()
        return cells


@dataclass(slots=True)
class Spread:
    """Rows and labels by value, from parts that are merged; bounded memory.

    Example:
        >>> import numpy as np
        >>> spread = Spread()
        >>> spread.update(np.array([3.0, 1.0, 1.0, np.inf]))
        >>> cut = spread.cut(4)
        >>> cut.edges, cut.rows, cut.error
        ((1.0, 3.0), (0, 2, 2), 0.0)
    """

    chunks: list[Cells] = field(default_factory=list)
    held: int = 0

    def update(
        self,
        values: Floats,
        labels: Floats | None = None,
        known: npt.NDArray[np.bool_] | None = None,
        room: Room | None = None,
    ) -> None:
        """Takes the rows of a part.

        Args:
            values: without NaN; infinities are values.
            labels: of these rows, 0 where there is none; None where no row has one.
            known: which rows have a label; None where all have.
            room: for as many rows, where several columns of a part are taken.
        """
        if len(values):
            room = room or Room(len(values))
            self._take([_part_cells(np.asarray(values, np.float64), labels, known, room)])

    def merge(self, other: Spread) -> None:
        """Takes the rows of other parts."""
        self._take(other.chunks)

    def _take(self, chunks: Sequence[Cells]) -> None:
        self.chunks += chunks
        self.held += sum(len(one.low) for one in chunks)
        if self.held > 2 * MOST:
            cells = Cells.joined(self.chunks).summed()
            if len(cells.low) > MOST:
                cells = cells.coarser(int(cells.rows.sum()) // (2 * SHARE))
            self.chunks, self.held = [cells], len(cells.low)

    @property
    def count(self) -> int:
        """How many rows were taken."""
        return sum(int(one.rows.sum()) for one in self.chunks)

    def cut(self, bins: int) -> Cut:
        """The rows in bins of about as many each.

        Where all distinct values have cells of their own, the edges are the distinct finite
        values at the ranks ``n * count // bins``; else those least keys of cells before which the
        nearest numbers of rows stand.
        """
        if not self.chunks:
            return Cut((), (0,), (0,), (0.0,), 0.0)
        cells = Cells.joined(self.chunks).summed()
        self.chunks, self.held = [cells], len(cells.low)
        total = int(cells.rows.sum())
        last = cells.low + ((np.int64(1) << cells.open) - 1)
        marks, first = np.unique(cells.low, return_index=True)
        begun = np.concatenate(([0], np.cumsum(cells.rows)))[first]
        order = np.argsort(last, kind="stable")
        ended = np.concatenate(([0], np.cumsum(cells.rows[order])))
        ended = ended[np.searchsorted(last[order], marks, side="left")]
        below = (begun + ended) // 2
        ranks = np.arange(1, bins) * total // bins
        place = np.searchsorted(below, ranks, side="right") - 1
        if cells.open.any():
            after = np.minimum(place + 1, len(below) - 1)
            place = np.where(below[after] - ranks < ranks - below[place], after, place)
        place = np.unique(place)
        place = place[np.isfinite(floats_of(marks[place]))]
        edges = marks[place]
        middle = cells.low + (last - cells.low) // 2
        at = np.searchsorted(edges, middle, side="right")
        unsure = np.concatenate(([0], (begun - ended)[place], [0]))
        made = (np.bincount(at, of, minlength=len(edges) + 1)
                for of in (cells.rows, cells.labelled, cells.sums))  # fmt: skip
        rows, labelled, sums = (tuple(of.tolist()) for of in made)
        return Cut(
            tuple(floats_of(edges).tolist()),
            tuple(map(int, rows)),
            tuple(map(int, labelled)),
            sums,
            int((unsure[1:] + unsure[:-1]).max()) / total,
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows by bin.

    Attributes:
        edges: rising; a bin holds its lower one.
        rows: of each bin, one more than edges.
        labelled: those with a label.
        sums: the sum of their labels.
        error: how far the rows of a bin can be off, as a share of all.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    labelled: tuple[int, ...]
    sums: tuple[float, ...]
    error: float


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


def _part_cells(
    values: Floats, labels: Floats | None, known: npt.NDArray[np.bool_] | None, room: Room
) -> Cells:
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
    if (counts > most).any() and len(counts) << _STEP <= _RANGE:
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
        step = min(_STEP, bits)
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
    inside = np.int64(2**_STEP - 1)
    fine = room.ints(2, len(code))
    np.right_shift(rows.keys, np.int64(bits - _STEP), out=fine)
    fine &= inside
    fine |= code << np.int64(_STEP)
    counted = np.bincount(fine, minlength=len(counts) << _STEP)
    if counted.max() > most:
        return None
    there = np.flatnonzero(counted)
    outer = there >> _STEP
    lows = np.zeros(len(counts), np.int64)
    lows[np.flatnonzero(counts)] = low
    cut = counts[outer] > most
    inner = np.where(cut, there & inside, 0) << np.int64(bits - _STEP)
    cells = rows.cells(fine, lows[outer] + inner, 0, counted, there)
    opened = np.where(cut, bits - _STEP, bits)
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
