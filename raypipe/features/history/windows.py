"""Figures of many stretches of a column at once, as functions of the values in each alone. Pure.

A running sum of floats would give bits that depend on all that came before. Here values are added
up as whole numbers, exactly, so a stretch's figures come from its own values, in whatever order
and among whatever other rows they stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from raypipe.features.transforms.exact import digits, squares

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


_BASE = 32
_MASK = np.int64(2**_BASE - 1)


@dataclass(frozen=True)
class Windows:
    """Stretches ``begin <= i < end`` of a column; only its finite values count.

    Attributes:
        values: the column.
        begin: where each stretch begins.
        end: where it ends, not before it begins.
    """

    values: Floats
    begin: Ints
    end: Ints

    def figure(self, stat: str) -> Floats:
        """A figure of ``window`` for each stretch.

        Of no value the count and the sum are 0, the others NaN.

        The sum is within one unit in the last place, the mean the sum by the count. The standard
        deviation is that of a population, from exact sums of values and squares taken to 106 bits,
        so near 1e-13 of itself unless values differ by less than 1e-8 of their size; of equal
        values it is 0.
        """
        made: dict[str, Callable[[], Floats]] = {
            "count": lambda: self.count.astype(np.float64),
            "sum": lambda: self.sum[0],
            "mean": self._mean,
            "std": self._std,
            "min": lambda: -self._greatest(-self.values),
            "max": lambda: self._greatest(self.values),
        }
        return made[stat]() + 0.0  # one zero

    @cached_property
    def _finite(self) -> NDArray[np.bool_]:
        return np.isfinite(self.values)

    @cached_property
    def count(self) -> Ints:
        """How many finite values each stretch has."""
        return self._between(self._finite.astype(np.int64))

    @cached_property
    def sum(self) -> tuple[Floats, Floats]:
        """The sum, as the nearest float and what is left."""
        clean = np.where(self._finite, self.values, 0.0)
        return as_two({at: self._between(one) for at, one in digits(clean).items()})

    def _mean(self) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.sum[0] / self.count

    def _std(self) -> Floats:
        least, most = -self._greatest(-self.values), self._greatest(self.values)
        size = np.fmax(np.abs(least), np.abs(most))
        # Scaled to below 1 in steps that lose nothing, so that no square is too large or small.
        shift = np.where(np.isnan(size), 0, -np.frexp(size)[1]).astype(np.int64)
        clean = np.where(self._finite, self.values, 0.0)
        total = as_two({at: self._between(one) for at, one in digits(clean).items()}, shift)
        squared = {at: self._between(one) for at, one in squares(clean).items()}
        square = as_two(squared, 2 * shift)
        count = self.count.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            more = _times(square, (count, np.zeros_like(count)))
            less = _times(total, total)
            rest, tail = _two_sum(more[0], -less[0])
            spread = np.maximum(rest + (tail + (more[1] - less[1])), 0.0)
            found = np.ldexp(np.sqrt(spread) / count, -shift)
        return np.where(least == most, 0.0, found)

    def _between(self, whole: Ints) -> Ints:
        total = np.concatenate([np.zeros(1, np.int64), np.cumsum(whole)])
        found: Ints = total[self.end] - total[self.begin]
        return found

    def _greatest(self, values: Floats) -> Floats:
        """The greatest of each stretch: two blocks of one power of two cover it."""
        block = np.where(self._finite, values, -np.inf)
        size = self.end - self.begin
        level = np.frexp(size)[1].astype(np.int64) - 1
        found = np.full(len(size), -np.inf)
        for number in range(int(level.max(initial=-1)) + 1):
            at = np.flatnonzero(level == number)
            first, last = block[self.begin[at]], block[self.end[at] - (1 << number)]
            found[at] = np.maximum(first, last)
            half = 1 << number
            if half < len(block):
                block = np.maximum(block, np.concatenate([block[half:], np.full(half, -np.inf)]))
        return np.where(self.count > 0, found, np.nan)


def as_two(sums: Mapping[int, Ints], shift: Ints | int = 0) -> tuple[Floats, Floats]:
    """Sums of digits as the nearest float and the rest; a function of the exact sum alone.

    Args:
        sums: whole numbers by place: each counts ``2 ** (32 * place)``.
        shift: the sums are to be times two to the power of this.
    """
    rows = len(next(iter(sums.values())))
    places = range(min(sums), max(sums) + 3)  # two places more take what is carried
    none = np.zeros(rows, np.int64)
    top = _carried([sums.get(at, none) for at in places])
    negative = top[-1] < 0
    if negative.any():
        turned = [sums.get(at, none) for at in places]
        top = _carried([np.where(negative, -one, one) for one in turned])
    high, low = np.zeros(rows), np.zeros(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        for at, digit in zip(reversed(places), reversed(top), strict=True):
            high, rest = _two_sum(high, np.ldexp(digit.astype(np.float64), _BASE * at + shift))
            low = low + rest
        low = np.where(np.isfinite(high), low, 0.0)
        high, low = _two_sum(high, low)
    low = np.where(np.isfinite(high), low, 0.0)
    return np.where(negative, -high, high), np.where(negative, -low, low)


def _carried(columns: list[Ints]) -> list[Ints]:
    """The same number in digits from 0 to 2 ** 32, but for the sign in the last."""
    out = []
    carry = np.zeros(len(columns[0]), np.int64)
    for number, one in enumerate(columns):
        whole = one + carry
        last = number == len(columns) - 1
        out.append(whole if last else whole & _MASK)
        carry = whole >> np.int64(_BASE)
    return out


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """A sum and what its rounding left (Knuth 1969)."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def _times(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """A product of numbers in two floats each (Dekker 1971)."""
    product = a[0] * b[0]
    high_a, high_b = _upper(a[0]), _upper(b[0])
    low_a, low_b = a[0] - high_a, b[0] - high_b
    rest = ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b
    rest = rest + (a[0] * b[1] + a[1] * b[0])
    return product + rest, (product - (product + rest)) + rest


def _upper(a: Floats) -> Floats:
    split = a * 134217729.0  # 2 ** 27 + 1
    return np.asarray(split - (split - a), np.float64)
