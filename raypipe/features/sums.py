"""Exact sums of floats: the same bits in any order, in memory that does not grow with the rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, inf, isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Every finite double, and every product of two, is a whole multiple of 2 ** -_UNIT.
_UNIT = 2 * 1074
# Values taken at once: they stay in the processor's cache.
_BITS = 14
_AT_ONCE = 2**_BITS
# Between these, a square and its rounding error are neither too large nor too small for a float.
_SMALL, _LARGE = 2.0**-400, 2.0**400
# Slices of so many bits, at most so many, of values above this: 2 ** _BITS products add up exactly.
_WIDTH, _MOST, _FINE = 19, 6, 2.0**-300


@dataclass(slots=True)
class ExactSum:
    """A sum of finite floats without rounding.

    The sum is one whole number of 2**-2148, as wide as the doubles' range needs (some hundred
    bytes): a long accumulator (Kulisch 1971; Neal 2015, "Fast exact summation using small and
    large superaccumulators"). So sums that are merged in any order or grouping are equal, and
    nothing overflows before ``value``.
    """

    count: int = 0
    units: int = 0

    def update(self, values: Floats) -> None:
        """Adds finite values."""
        self.count += len(values)
        for start in range(0, len(values), _AT_ONCE):
            self.units += _units(values[start : start + _AT_ONCE])

    def update_squares(self, values: Floats) -> None:
        """Adds the exact squares of finite values."""
        self.count += len(values)
        for start in range(0, len(values), _AT_ONCE):
            self.units += _square_units(values[start : start + _AT_ONCE])

    def merge(self, other: ExactSum) -> None:
        """Adds another sum."""
        self.count += other.count
        self.units += other.units

    def value(self) -> float:
        """The sum, rounded once; infinite where no float is large enough."""
        return rounded(self.units, 1 << _UNIT)

    def mean(self) -> float:
        """The sum by the count, rounded once; it cannot overflow.

        Raises:
            ZeroDivisionError: nothing was added.
        """
        return rounded(self.units, self.count << _UNIT)


def deviation(values: ExactSum, squares: ExactSum) -> float:
    """The standard deviation of a population from its exact sums, right to the last bit but one.

    Args:
        values: of all values.
        squares: of their squares.

    Raises:
        ZeroDivisionError: nothing was added.
    """
    # n * sum of squares - square of the sum, over n squared: whole numbers, so nothing cancels.
    over = (values.count * squares.units << _UNIT) - values.units**2
    under = values.count << _UNIT
    # A root of at least 64 bits, whatever the size of the number.
    shift = max(0, 128 - over.bit_length())
    shift += shift % 2
    return rounded(isqrt(over << shift), under << shift // 2)


def rounded(over: int, under: int) -> float:
    """A quotient of whole numbers, rounded once; infinite where it is too large for a float."""
    try:
        return over / under
    except OverflowError:
        return inf if over > 0 else -inf


def _units(values: Floats) -> int:
    """The exact sum of up to 2 ** _BITS values in units.

    Peels off the leading bits of all values at one cut and adds them, which is exact, until
    nothing is left (Rump, Ogita, Oishi 2008, "Accurate floating-point summation"). Values of very
    different sizes go by exponent instead.
    """
    total = 0
    cut = frexp(_top(values))[1] + _BITS + 1
    for _ in range(4):
        if cut > 1023:
            break
        heads = values + 2.0**cut
        heads -= 2.0**cut
        values = values - heads
        total += _in_units(float(heads.sum()))
        if not _top(values):
            return total
        cut -= 53 - _BITS - 1  # what is left of each is at most 2 ** (cut - 53)
    return total + _by_exponent(*np.frexp(values), 0)


def _square_units(values: Floats) -> int:
    top = _top(values)
    if _FINE < top < _LARGE:
        total = 0
        slices = _slices(values, frexp(top)[1])
        for number, one in enumerate(slices):
            total += _in_units(_product(one, one))
            total += 2 * sum(_in_units(_product(one, other)) for other in slices[:number])
        if slices:
            return total
    sizes = np.abs(values)
    if sizes.max() < _LARGE and sizes.min(initial=_LARGE, where=sizes != 0) > _SMALL:
        square, rest = _squared(values)
        return _units(square) + _units(rest)
    parts, exponents = np.frexp(values)
    return sum(
        _by_exponent(*np.frexp(piece), 2 * exponents.astype(np.int64)) for piece in _squared(parts)
    )


def _slices(values: Floats, exponent: int) -> list[Floats]:
    """Values below ``2 ** exponent`` as sums of slices so narrow that products add up exactly.

    A slice holds whole multiples, up to 2 ** _WIDTH, of one power of two (Ozaki, Ogita, Oishi,
    Rump 2012, "Error-free transformations of matrix multiplication"). None at all where too many
    would be needed.
    """
    found: list[Floats] = []
    unit, rest = exponent - _WIDTH, values
    while len(found) < _MOST:
        shift = 1.5 * 2.0 ** (unit + 52)
        one = rest + shift
        one -= shift
        found.append(one)
        rest = rest - one
        if not _top(rest):
            return found
        unit -= _WIDTH + 1  # what is left of each is at most half a unit
    return []


def _product(one: Floats, other: Floats) -> float:
    return float(np.einsum("i,i", one, other))  # in this thread, as np.dot is not


def _top(values: Floats) -> float:
    return max(float(values.max()), -float(values.min()))


def _in_units(value: float) -> int:
    over, under = value.as_integer_ratio()
    return over << _UNIT + 1 - under.bit_length()


def _by_exponent(parts: Floats, exponents: npt.NDArray[np.intc], more: Any) -> int:
    """The sum of ``parts * 2 ** (exponents + more)`` in units; parts are below 1, of 53 bits."""
    whole = np.ldexp(parts, 53).astype(np.int64)
    place = exponents + more
    least = int(place.min())
    # Halves of 27 bits: bincount adds up floats, and so few stay exact.
    high = np.bincount(place - least, weights=whole >> 27).tolist()
    low = np.bincount(place - least, weights=whole & (2**27 - 1)).tolist()
    total = 0
    for number, (upper, lower) in enumerate(zip(high, low, strict=True)):
        total += ((int(upper) << 27) + int(lower)) << number
    shift = least - 53 + _UNIT
    # A bit below the unit is always zero.
    return total << shift if shift >= 0 else total >> -shift


def _squared(part: Floats) -> tuple[Floats, Floats]:
    """A square and what its rounding left (Dekker 1971); exact between 2 ** -400 and 2 ** 400."""
    square = part * part
    split = part * 134217729.0  # 2 ** 27 + 1
    high = split - (split - part)
    low = part - high
    return square, ((high * high - square) + 2.0 * high * low) + low * low
