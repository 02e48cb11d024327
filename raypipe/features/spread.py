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

from raypipe.features.cells import Cells
from raypipe.features.keys import Room, floats_of
from raypipe.features.part_cells import SHARE, part_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MOST = 32_768
"""Cells that are kept before they are put together."""


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
            self._take([part_cells(np.asarray(values, np.float64), labels, known, room)])

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
