"""Where the histogram bins of a column end: values in, cut points out, in bounded memory.

A column's values are taken in blocks of a fixed number, in their order and without those that are
missing. A block is sorted, and of each few neighbours the middle one stands for all. Eight such
rows of samples are sorted together and thinned in the same way, and so on. What comes out depends
on the values in their order alone, however they were cut into batches. A column of few distinct
values keeps all of them with their counts.

A sample that stands for g values is off by at most g / 2 of them, so each thinning adds at most
``1 / 64`` of a bin to the rank of a cut point: a column of up to ``8**5`` blocks stays within an
eighth of a bin, which is what XGBoost's own sketch promises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.int64]

BLOCK = 65_536
MOST_BINS = 1024
"""More bins than this would need larger blocks."""

_FAN = 8  # rows of samples that are thinned together
_PER_BIN = 32  # samples of a block for each bin, at least


@dataclass(frozen=True, slots=True)
class Spread:
    """How the values of a column are spread.

    Attributes:
        values: distinct, rising; the first and the last are the column's least and greatest.
        counts: how many values each stands for; 0 where another stands for it too.
    """

    values: Floats
    counts: Counts


def joined(spreads: Sequence[Spread]) -> Spread:
    """The spread of all values together."""
    values = np.concatenate([one.values for one in spreads])
    counts = np.concatenate([one.counts for one in spreads])
    if not len(values):
        return Spread(values, counts)
    order = np.argsort(values, kind="stable")  # merges runs that rise already
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return Spread(ordered[starts] + np.float32(0), np.add.reduceat(counts[order], starts))


def thinned(spread: Spread, most: int) -> Spread:
    """At most ``most`` values and the two ends, each off by at most half its count."""
    if len(spread.values) <= most:
        return spread
    upper = np.cumsum(spread.counts)
    edges = np.arange(most + 1, dtype=np.int64) * int(upper[-1]) // most
    middles = (edges[:-1] + edges[1:]) // 2
    at = np.searchsorted(upper, middles, side="right")
    return _with_ends(spread.values[at], np.diff(edges), spread.values[0], spread.values[-1])


def representatives(spread: Spread, max_bin: int) -> Floats:
    """The least value, the cut points and the greatest value; at most ``max_bin + 1``, rising.

    Up to ``max_bin`` distinct values each begins a bin. Of more, bins hold equally many values,
    but for one that alone fills two: it has a bin of its own, and the others share the rest.

    Args:
        spread: of all values of the column.
        max_bin: bins at most.
    """
    values, counts = spread.values, spread.counts
    if len(values) <= max_bin:
        return values
    share = _share(counts, max_bin)
    weights = np.minimum(counts, 2 * share)
    upper = np.cumsum(weights)
    wanted = np.arange(1, max_bin) * share
    at = np.minimum(np.searchsorted(upper, wanted, side="right"), len(values) - 1)
    at += upper[at] - wanted < wanted - (upper[at] - weights[at])  # the nearer end of the value
    cuts = at[(at > 0) & (at < len(values))]
    found: Floats = values[np.unique(np.concatenate(([0], cuts, [len(values) - 1])))]
    return found


def _share(counts: Counts, max_bin: int) -> float:
    """Values of a bin, when those of which there are more than two bins full count for two."""
    share, large = counts.sum() / max_bin, 0
    while True:
        own = counts > 2 * share
        number = int(np.count_nonzero(own))
        if number == large or 2 * number >= max_bin:
            return float(share)
        large, share = number, counts[~own].sum() / (max_bin - 2 * number)


def _each(max_bin: int, block: int) -> int:
    """How many values of a block a sample stands for: a power of two."""
    most = block // (_PER_BIN * max_bin)
    return int(min(_FAN, 1 << (most.bit_length() - 1)))


class ColumnSketch:
    """The spread of one column, from its values in their order.

    Args:
        max_bin: bins that will be asked for, from 2 to ``MOST_BINS``.
        block: values that are sorted at a time: a power of two, 64 for each bin at least.
    """

    __slots__ = ("_begun", "_block", "_each", "_ends", "_few", "_held", "_levels")

    def __init__(self, max_bin: int, block: int = BLOCK) -> None:
        self._block = block
        self._each = _each(max_bin, block)
        self._few: Spread | None = _spread_of(np.empty(0, np.float32))
        self._levels: list[list[Floats]] = []
        self._begun = np.empty(0, np.float32)  # a block; it grows, since many columns have one
        self._held = 0  # values of it
        self._ends = np.array([np.inf, -np.inf], np.float32)

    def update(self, values: Floats) -> None:
        """Takes the next values; NaN is missing."""
        missing = np.isnan(values)
        known = values[~missing] if missing.any() else values
        at = 0
        while at < len(known):
            some = known[at : at + self._block - self._held]
            at += len(some)
            if len(some) == self._block:
                self._take(np.sort(some))
                continue
            self._begin(some)
            if self._held == self._block:
                self._held = 0
                self._take(np.sort(self._begun))

    def _begin(self, values: Floats) -> None:
        stop = self._held + len(values)
        if stop > len(self._begun):
            larger = np.empty(min(self._block, max(stop, 2 * len(self._begun))), np.float32)
            larger[: self._held] = self._rest
            self._begun = larger
        self._begun[self._held : stop] = values
        self._held = stop

    @property
    def _rest(self) -> Floats:
        """The values that do not fill a block yet."""
        return self._begun[: self._held]

    def spread(self) -> Spread:
        """How the values so far are spread."""
        rest = np.sort(self._rest)
        if self._few is not None:
            return joined([self._few, _spread_of(rest)])
        parts, each = [], self._each
        for level in self._levels:
            parts += [Spread(one, np.full(len(one), each)) for one in level]
            each *= _FAN
        if len(rest):
            parts.append(thinned(_spread_of(rest), self._block // self._each))
        found = joined(parts)
        return _with_ends(found.values, found.counts, *self.ends)

    @property
    def ends(self) -> tuple[np.float32, np.float32]:
        """The least and the greatest value so far; inf and -inf where there is none."""
        few = np.empty(0, np.float32) if self._few is None else self._few.values
        known = np.concatenate((few, self._rest))
        least, greatest = self._ends
        return np.min(known, initial=least), np.max(known, initial=greatest)

    def _take(self, block: Floats) -> None:
        if self._few is not None:
            if np.count_nonzero(block[1:] != block[:-1]) < self._most:
                few = joined([self._few, _spread_of(block)])
                if len(few.values) <= self._most:
                    self._few = few
                    return
            few, self._few = self._few, None
            self._take_few(few)
        self._ends[0] = min(self._ends[0], block[0])
        self._ends[1] = max(self._ends[1], block[-1])
        self._push(0, block[self._each // 2 :: self._each].copy())

    @property
    def _most(self) -> int:
        """Distinct values that are all kept."""
        return self._block // self._each // 4

    def _take_few(self, few: Spread) -> None:
        """As if the blocks that they came from were one."""
        if not len(few.values):
            return
        self._ends[:] = few.values[0], few.values[-1]
        upper = np.cumsum(few.counts)
        for start in range(0, int(upper[-1]), self._block):
            ranks = np.arange(start + self._each // 2, start + self._block, self._each)
            self._push(0, few.values[np.searchsorted(upper, ranks, side="right")])

    def _push(self, level: int, samples: Floats) -> None:
        if level == len(self._levels):
            self._levels.append([])
        held = self._levels[level]
        held.append(samples)
        if len(held) == _FAN:
            together = np.sort(np.concatenate(held))
            held.clear()
            self._push(level + 1, together[_FAN // 2 :: _FAN].copy())


def _spread_of(ordered: Floats) -> Spread:
    """Of sorted values; 0.0 stands for zeros of both signs."""
    if not len(ordered):
        return Spread(ordered, np.empty(0, np.int64))
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(starts, append=len(ordered))
    return Spread(ordered[starts] + np.float32(0), counts)


def _with_ends(values: Floats, counts: Counts, least: np.float32, greatest: np.float32) -> Spread:
    ends = Spread(np.array([least, greatest], np.float32), np.zeros(2, np.int64))
    return joined([Spread(values, counts), ends])


def held_bytes(rows: int, features: int, max_bin: int) -> int:
    """What the sketches of all columns of so many rows hold at most."""
    each = _each(max_bin, BLOCK)
    blocks, levels = rows // BLOCK, 0
    while blocks >= _FAN**levels:
        levels += 1
    samples = min(blocks, (_FAN - 1) * levels) * (BLOCK // each)
    return features * 4 * (min(rows, BLOCK) + samples)
