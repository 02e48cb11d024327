"""Whether a column goes with what comes next rather than with its own row. Pure."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCKS = 24
_MARGIN = 0.05
_LEAST = 20
"""Rows of a block that a correlation needs."""


def looks_ahead(
    value: Floats, now: Floats, before: Floats, after: Floats
) -> tuple[int, int, float]:
    """In how many stretches of time a column goes with the next label more than with its own.

    A column that is made of the past may go with the label of the row before as much as it likes;
    with the next label it goes only by way of its own row's. So in each of 24 stretches the
    correlation with the next label is held against those with the row's own and the one before;
    it must be larger by 0.05.

    Args:
        value: the column in the order of time; NaN is left out.
        now: the labels.
        before: the label of the key's row before; NaN without one.
        after: that of its next row; NaN without one.

    Returns:
        Stretches in which it is so, stretches that could be judged, and by how much it was more
        in the median stretch.
    """
    fine = np.isfinite(value) & np.isfinite(now) & np.isfinite(before) & np.isfinite(after)
    rows = np.flatnonzero(fine)
    more = []
    for block in np.array_split(rows, BLOCKS):
        if len(block) < _LEAST:
            continue
        next_, own, last = (abs(_correlation(value[block], y[block])) for y in (after, now, before))
        more.append(next_ - max(own, last))
    over = sum(one > _MARGIN for one in more)
    return over, len(more), float(np.median(more)) if more else 0.0


def chance_of(over: int, blocks: int) -> float:
    """The chance of so many stretches or more, when in each it is no likelier than not."""
    return float(sum(comb(blocks, k) for k in range(over, blocks + 1)) / 2**blocks)


def _correlation(x: Floats, y: Floats) -> float:
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size > 0 else 0.0
