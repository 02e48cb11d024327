"""Cells: intervals of floats with the rows and labels in them, as ``features.spread`` merges them.

A cell holds the floats whose keys (``features.keys``) begin with the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

EXACT = 8_192
"""Distinct values of a part that are counted one by one."""

STEP = 4
"""Bits that a finer cell fixes."""

_COARSER = (*range(2, 63, STEP),)


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
