"""The bins of a run's rows: sketched by threads, agreed on by ranks, and given to XGBoost.

XGBoost seeks bins by itself, and that takes about half the time that a matrix takes. But it takes
the bins of another matrix, too (``ref=``). So here it gets a tiny one: of each column the least
value, the cut points and the greatest, all of which it keeps since they are no more than bins.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import numpy as np
import xgboost

from raypipe.training.cut_points import (
    BLOCK,
    ColumnSketch,
    Spread,
    joined,
    representatives,
    thinned,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from raypipe.training.cut_points import Floats

_TURNED = 2048  # rows that are laid out by column at a time, as many as a core's cache holds
_TOGETHER = 32  # columns that a thread lays out at a time
_TOLD = 4096  # values of a column that a rank tells the others, at least
_TOLD_A_BIN = 16  # so that what is not told is a 32nd of a bin
_TOLD_AT_ONCE = 2**21  # by all ranks


class Sketch:
    """The spread of every column, from batches of rows in their order; ``with`` ends its threads.

    Args:
        features: columns.
        max_bin: bins a column.
        threads: how many it may use; what comes out does not depend on it.
    """

    def __init__(self, features: int, max_bin: int, threads: int) -> None:
        self._max_bin = max_bin
        self._columns = [ColumnSketch(max_bin) for _ in range(features)]
        step = max(1, min(_TOGETHER, -(-features // threads)))
        self._parts = [slice(at, at + step) for at in range(0, features, step)]
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="raypipe-sketch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def update(self, features: Floats) -> None:
        """Takes the next rows, laid out by row; NaN is missing."""
        for at in range(0, len(features), BLOCK):
            some = features[at : at + BLOCK]
            list(self._pool.map(lambda part, of=some: self._update(part, of[:, part]), self._parts))

    def _update(self, part: slice, features: Floats) -> None:
        turned = np.empty(features.shape[::-1], np.float32)
        for at in range(0, len(features), _TURNED):
            turned[:, at : at + _TURNED] = features[at : at + _TURNED].T
        for column, values in zip(self._columns[part], turned, strict=True):
            column.update(values)

    def representatives(self) -> Floats:
        """Of the rows of all ranks: a column each, and as many rows as the longest takes.

        NaN is where there is no more. Every rank calls it, and all get the same.
        """
        found = self._found()
        rows = max([1, *map(len, found)])
        table = np.full((rows, len(found)), np.nan, np.float32)
        for number, values in enumerate(found):
            table[: len(values), number] = values
        return table

    def _found(self) -> list[Floats]:
        def found(spread: Spread) -> Floats:
            return representatives(spread, self._max_bin)

        if xgboost.collective.get_world_size() == 1:
            return list(self._pool.map(lambda one: found(one.spread()), self._columns))
        most = max(_TOLD, _TOLD_A_BIN * self._max_bin)
        told = list(self._pool.map(lambda one: thinned(one.spread(), most - 2), self._columns))
        return list(self._pool.map(found, _of_all_ranks(told, most)))


def _of_all_ranks(mine: list[Spread], each: int) -> Iterator[Spread]:
    """The spreads of the columns over all ranks, the same on each, a few columns at a time.

    All of them at once would take as many times the memory of ``mine`` as there are ranks.

    Args:
        mine: of this rank, a column each.
        each: how many values of a column a rank tells at most.
    """
    most = max(1, _TOLD_AT_ONCE // (xgboost.collective.get_world_size() * each))
    for start in range(0, len(mine), most):
        yield from _some_of_all_ranks(mine[start : start + most])


def _some_of_all_ranks(mine: list[Spread]) -> list[Spread]:
    lengths = _gathered(np.array([len(one.values) for one in mine], np.int64))
    width = int(lengths.sum(axis=1).max())

    def told(arrays: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        flat = np.concatenate(arrays)
        return _gathered(np.pad(flat, (0, width - len(flat))))

    counts = told([one.counts for one in mine])
    values = told([one.values.view(np.int32).astype(np.int64) for one in mine])
    ends = np.cumsum(lengths, axis=1)
    found: list[Spread] = []
    for number in range(len(mine)):
        parts = []
        for rank, size in enumerate(lengths[:, number]):
            place = slice(int(ends[rank, number] - size), int(ends[rank, number]))
            bits = values[rank, place].astype(np.int32)
            parts.append(Spread(bits.view(np.float32), counts[rank, place]))
        found.append(joined(parts))
    return found


def _gathered(mine: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What each rank gives, in the order of ranks; all give as many numbers."""
    world, rank = xgboost.collective.get_world_size(), xgboost.collective.get_rank()
    slots = np.zeros((world, len(mine)), np.int64)
    slots[rank] = mine
    summed = xgboost.collective.allreduce(slots.ravel(), xgboost.collective.Op.SUM)
    return np.asarray(summed, np.int64).reshape(world, len(mine))
