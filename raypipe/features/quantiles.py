"""Quantiles of any number of values in bounded memory: exact for few, else of a known error.

A summary is a rising list of values that were seen. For each it holds how many values are surely
below it, how many are surely equal to it, and how many are at most at or below it. Two summaries
join without adding to the uncertainty of either; a summary that has grown too long is thinned,
which adds a known amount. Nothing is drawn at random.

Source: Greenwald and Khanna, "Power-conserving computation of order-statistics over sensor
networks" (PODS 2004), with the weighted form of Chen and Guestrin, "XGBoost" (KDD 2016), appendix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from raypipe.core.errors import RecipeError
from raypipe.features.keys import floats_of, in_order, keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]

EXACT = 16_384


class QuantileSketch:
    """How values are spread, from parts that are merged.

    Up to ``exact`` distinct values all of them are kept with their counts: every answer is exact,
    and parts merged in any order give the same bits. Beyond it at most ``exact`` values are kept
    (32 bytes each) and ``error`` tells how far an answer can be off. Each thinning adds at most
    ``1 / exact`` of the values then held, so m parts, one ``update`` each and merged in pairs,
    stay within ``(1 + log2(m)) / exact``: 0.0007 for a thousand parts. The same parts merged by the
    same tree give the same bits. Zeros of both signs are 0.0.

    Parts added to one sketch one after the other are within ``error`` too, but it grows with their
    number and not with its logarithm.

    Args:
        exact: how many distinct values are kept; at least 4.

    Example:
        >>> import numpy as np
        >>> from raypipe.features.quantiles import QuantileSketch
        >>> one, two = QuantileSketch(), QuantileSketch()
        >>> one.update(np.array([3.0, 1.0]))
        >>> two.update(np.array([2.0, np.inf]))
        >>> one.merge(two)
        >>> one.quantiles([0.0, 0.5, 1.0]).tolist()
        [1.0, 3.0, inf]
    """

    __slots__ = ("_high", "_low", "_own", "_values", "exact")

    def __init__(self, exact: int = EXACT) -> None:
        if exact < 4:
            raise RecipeError("a sketch keeps at least 4 values", exact, None, "exact")
        self.exact = exact
        none = np.empty(0, np.int64)
        self._set(np.empty(0), none, none, none)

    def _set(self, values: Floats, low: Counts, own: Counts, high: Counts) -> None:
        # For each value, of all that were seen: at least `low` are smaller, at least `own` are
        # equal, at most `high` are smaller or equal. Where high == low + own that is exact.
        self._values, self._low, self._own, self._high = values, low, own, high

    @property
    def count(self) -> int:
        """How many values were seen."""
        return int(self._high[-1]) if len(self._high) else 0

    @property
    def kept(self) -> int:
        """How many distinct values are kept; never more than ``exact``."""
        return len(self._values)

    @property
    def error(self) -> float:
        """How far the rank of an answer can be off, as a share of ``count``; 0.0 when exact."""
        return self._rank_error() / self.count if self.count else 0.0

    def _rank_error(self) -> int:
        first, last = self._reach()
        # Between two neighbours the worst rank to ask for lies half-way.
        return max(0, int(np.max((first[1:] - last[:-1]) // 2, initial=0)))

    def _reach(self) -> tuple[Counts, Counts]:
        """The ranks, from 0, that each value surely covers; where last < first, none for sure."""
        return self._high - self._own, self._low + self._own - 1

    def update(self, values: Floats) -> None:
        """Takes values in any order; infinities are values, NaN is not.

        Raises:
            RecipeError: a value is NaN.
        """
        if not len(values):
            return
        given = np.asarray(values, np.float64)
        if np.isnan(given).any():
            raise RecipeError("a quantile sketch takes no NaN", "NaN", "Leave it out.", "values")
        ordered = in_order(keys_of(given))  # in which both zeros are one
        new = ordered[1:] != ordered[:-1]
        if np.count_nonzero(new) < self.exact:
            starts = np.concatenate(([0], np.flatnonzero(new) + 1))
            ends = np.append(starts[1:], len(ordered))
        else:  # as `_thin` would, of exact ranks
            marks = np.concatenate(([0], self._marks(len(ordered)), [len(ordered) - 1]))
            keep = np.unique(ordered[marks])
            starts = np.searchsorted(ordered, keep, side="left")
            ends = np.searchsorted(ordered, keep, side="right")
        part = type(self)(self.exact)
        part._set(floats_of(ordered[starts]), starts, ends - starts, ends)
        self.merge(part)

    def merge(self, other: QuantileSketch) -> None:
        """Takes the values that another sketch has seen, which stays as it is."""
        if not other.count:
            return
        if not self.count:
            self._set(other._values, other._low, other._own, other._high)
        else:
            values = np.union1d(self._values, other._values)
            mine, theirs = self._spread(values), other._spread(values)
            self._set(values, *(a + b for a, b in zip(mine, theirs, strict=True)))
        self._thin()

    def _spread(self, values: Floats) -> tuple[Counts, Counts, Counts]:
        """``low``, ``own`` and ``high`` for values of which mine are some."""
        place = np.searchsorted(self._values, values, side="left")
        here = np.append(self._values, np.nan)[place] == values
        sure = np.concatenate(([0], self._low + self._own))  # from the neighbour below
        most = np.append(self._high - self._own, self.count)  # from the one above
        low = np.where(here, np.append(self._low, 0)[place], sure[place])
        own = np.where(here, np.append(self._own, 0)[place], 0)
        high = np.where(here, np.append(self._high, 0)[place], most[place])
        return low, own, high

    def _thin(self) -> None:
        if len(self._values) <= self.exact:
            return
        chosen = self._nearest(self._marks(self.count))
        keep = np.unique(np.concatenate(([0], chosen, [len(self._values) - 1])))
        self._set(self._values[keep], self._low[keep], self._own[keep], self._high[keep])

    def _marks(self, count: int) -> Counts:
        """The ranks to keep of so many values: between two, an answer is off by half their gap."""
        steps = self.exact // 2
        return (np.arange(steps, dtype=np.float64) * (count / steps)).astype(np.int64)

    def _nearest(self, ranks: Counts) -> npt.NDArray[np.intp]:
        """The place of the value that is the least off for each rank."""
        first, last = self._reach()
        above = np.searchsorted(first + last, 2 * ranks, side="left")
        above = np.minimum(above, len(first) - 1)
        below = np.maximum(above - 1, 0)
        off_below = np.maximum(0, ranks - last[below])
        off_above = np.maximum(0, np.maximum(first[above] - ranks, ranks - last[above]))
        return np.where(off_below <= off_above, below, above)

    def at(self, ranks: Sequence[int] | Counts) -> Floats:
        """The values at ranks of the sorted values, counted from 0; the nearest kept ones.

        Raises:
            RecipeError: there is no value, or a rank is not between 0 and ``count - 1``.
        """
        wanted = np.asarray(ranks, np.int64)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < self.count):
            raise RecipeError(
                "there is no value of this rank", wanted.tolist(), f"Of {self.count}.", "ranks"
            )
        return self._values[self._nearest(wanted)] if len(wanted) else np.empty(0)

    def quantiles(self, shares: Sequence[float] | Floats) -> Floats:
        """For each share the value that ``floor(share * count)`` values stand before.

        It is a value that was seen, never one between two; share 1 is the greatest.

        Raises:
            RecipeError: there is no value, or a share is not between 0 and 1.
        """
        wanted = np.asarray(shares, np.float64)
        if not np.all((wanted >= 0) & (wanted <= 1)):
            raise RecipeError("a share is between 0 and 1", wanted.tolist(), None, "shares")
        ranks = np.floor(wanted * self.count).astype(np.int64)
        return self.at(np.minimum(ranks, max(0, self.count - 1)))

    def below(self, values: Sequence[float] | Floats) -> Counts:
        """How many of the values seen are smaller than each of these; half-way where unsure.

        Of a value that is kept it is off by no more than ``error``, of others by twice that.
        """
        wanted = np.asarray(values, np.float64)
        place = np.searchsorted(self._values, wanted, side="left")
        here = np.append(self._values, np.nan)[place] == wanted
        sure = np.concatenate(([0], self._low + self._own))
        least = np.where(here, np.append(self._low, 0)[place], sure[place])
        most = np.append(self._high - self._own, self.count)[place]
        return np.asarray((least + most) // 2, np.int64)

    def to_arrays(self) -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
        """What is kept, as plain arrays: two when exact, four when not."""
        plain: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]] = {
            "exact": np.array([self.exact]),
            "values": self._values,
            "own": self._own,
        }
        if np.array_equal(self._high, np.cumsum(self._own)):
            return plain
        return {**plain, "low": self._low, "high": self._high}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.float64 | np.int64]]) -> Self:
        """The sketch that ``to_arrays`` told of. Not for files of strangers: nothing is checked."""
        made = cls(int(arrays["exact"][0]))
        own = np.asarray(arrays["own"], np.int64)
        high = np.asarray(arrays["high"], np.int64) if "high" in arrays else np.cumsum(own)
        low = np.asarray(arrays["low"], np.int64) if "low" in arrays else high - own
        made._set(np.asarray(arrays["values"], np.float64), low, own, high)
        return made

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return type(self).from_arrays, (self.to_arrays(),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantileSketch):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        return mine.keys() == theirs.keys() and all(
            mine[key].tobytes() == theirs[key].tobytes() for key in mine
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"QuantileSketch({self.count} values, {self.kept} kept, error={self.error:.2g})"
