"""Sums of floats without rounding: digits that add as integers, in any order, to the same bits.

A finite float is written in base 2**32 with digits at fixed places, as Shewchuk (1997) and the
"long accumulators" of Kulisch do. Digits of many values add up in 64-bit integers, exactly for up
to 2**31 values, and only the finished sum is rounded to a float, once and correctly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from raypipe.features.sums import rounded as quotient

if TYPE_CHECKING:
    from collections.abc import Mapping

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_BASE = 32
_LOW = np.int64(2**_BASE - 1)
_AT_ONCE = 2**20  # of so many values, halves and digits add up exactly as floats
_HALF = np.int64(2**27 - 1)


def digits(values: Floats) -> dict[int, Ints]:
    """Finite values as digits: ``value = sum(digits[j] * 2.0 ** (32 * j))``."""
    size, low, high, sign = _halves(values)
    return _placed([(low, size, sign), (high, size + 27, sign)], len(values))


def digits_by(values: Floats, code: npt.NDArray[np.int64], size: int) -> dict[int, Ints]:
    """The sums of finite values by code, 0 to ``size - 1``, as digits."""
    total: dict[int, Ints] = {}
    for start in range(0, len(values), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        for place, column in _summed(values[some], code[some], size).items():
            total[place] = total[place] + column if place in total else column
    return total or {0: np.zeros(size, np.int64)}


def _summed(values: Floats, code: npt.NDArray[np.int64], size: int) -> dict[int, Ints]:
    fraction, exponent = np.frexp(values)
    least = int(exponent.min())
    widths = int(exponent.max()) - least + 1
    if widths * size > 4 * len(values) + 100_000:
        found = digits(values)
        return {place: _by_code(code, column, size) for place, column in found.items()}
    mantissa = np.ldexp(fraction, 53).astype(np.int64)
    cell = (exponent - least) * np.int64(size) + code
    made: dict[int, Ints] = {}
    # Halves, so that their sums as floats are exact; then again, so that they can be shifted.
    for half, more in ((mantissa & _HALF, 0), (mantissa >> np.int64(27), 27)):
        sums = _by_code(cell, half, widths * size).reshape(widths, size)
        for width in range(widths):
            for piece, shift in ((sums[width] & _HALF, 0), (sums[width] >> np.int64(27), 27)):
                place, over = divmod(least - 53 + width + more + shift, _BASE)
                shifted = piece << np.int64(over)
                for part, at in ((shifted & _LOW, place), (shifted >> np.int64(_BASE), place + 1)):
                    made[at] = made[at] + part if at in made else part
    return made


def _by_code(code: npt.NDArray[np.int64], parts: Ints, size: int) -> Ints:
    return np.bincount(code, parts, minlength=size).astype(np.int64)


def squares(values: Floats) -> dict[int, Ints]:
    """The exact squares of finite values as digits."""
    size, low, high, _ = _halves(values)
    found: list[tuple[Ints, Ints, Ints | None]] = []
    for product, shift in ((low * low, 0), (2 * low * high, 27), (high * high, 54)):
        exponent = 2 * size + shift
        found += [(product & _HALF, exponent, None), (product >> np.int64(27), exponent + 27, None)]
    return _placed(found, len(values))


def whole(sums: Mapping[int, Ints]) -> tuple[list[int], int]:
    """Sums of digits as integers ``n``, and the ``e`` by which each is ``n * 2 ** e``."""
    if not sums:
        return [], 0
    lowest = min(sums)
    found = [0] * len(sums[lowest])
    for place, column in sums.items():
        shift = _BASE * (place - lowest)
        found = [have + (more << shift) for have, more in zip(found, column.tolist(), strict=True)]
    return found, _BASE * lowest


def rounded(sums: Mapping[int, Ints]) -> Floats:
    """Sums of digits as the nearest floats; beyond the largest float, an infinity."""
    used = {place: column for place, column in sums.items() if column.any()}
    if not used:
        return np.zeros(len(next(iter(sums.values()), ())), np.float64)
    if set(used) == {0} and int(np.abs(used[0]).max()) <= 2**53:
        return used[0].astype(np.float64)
    numbers, exponent = whole(used)
    return np.array([nearest(number, exponent) for number in numbers], np.float64)


def nearest(number: int, exponent: int, divisor: int = 1) -> float:
    """``number * 2 ** exponent / divisor``, rounded once."""
    if exponent >= 0:
        return quotient(number << exponent, divisor)
    return quotient(number, divisor << -exponent)


def _halves(values: Floats) -> tuple[Ints, Ints, Ints, Ints]:
    """Exponent, low 27 and high 26 bits of the integer mantissa, and sign."""
    fraction, exponent = np.frexp(values)
    mantissa = np.abs(np.ldexp(fraction, 53)).astype(np.int64)
    sign = np.where(values < 0, np.int64(-1), np.int64(1))
    return exponent.astype(np.int64) - 53, mantissa & _HALF, mantissa >> np.int64(27), sign


def _placed(pieces: list[tuple[Ints, Ints, Ints | None]], count: int) -> dict[int, Ints]:
    found: dict[int, Ints] = {}
    for number, exponent, sign in pieces:
        place = exponent >> np.int64(5)
        shifted = number << (exponent & np.int64(31))
        for part, at in ((shifted & _LOW, place), (shifted >> np.int64(_BASE), place + 1)):
            there = part != 0
            signed = part if sign is None else part * sign
            for one in np.unique(at[there]).tolist():
                column = found.setdefault(one, np.zeros(count, np.int64))
                column += np.where(at == one, signed, np.int64(0))
    return found or {0: np.zeros(count, np.int64)}
