"""What polars computes for two numbers, in plain Python, to the bit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

Number = Any

BITS: dict[pl.DataType, tuple[bool, int]] = {
    pl.Int8(): (True, 8),
    pl.Int16(): (True, 16),
    pl.Int32(): (True, 32),
    pl.Int64(): (True, 64),
    pl.UInt8(): (False, 8),
    pl.UInt16(): (False, 16),
    pl.UInt32(): (False, 32),
}


def bounds(dtype: pl.DataType) -> tuple[int, int]:
    """The least and the greatest integer of a type."""
    signed, bits = BITS[dtype]
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def wrapper(dtype: pl.DataType) -> Callable[[int], int]:
    """Integers overflow silently in polars; this does the same to a Python integer."""
    low, high = bounds(dtype)
    size = high - low + 1
    return lambda value: value if low <= value <= high else (value - low) % size + low


def true_div(a: float, b: float) -> float:
    """A quotient of floats, with infinities and NaN instead of an error."""
    if b == 0.0:
        if a == 0.0 or a != a:
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def floor(a: float) -> float:
    """The next whole float at or below; keeps minus zero, infinities and NaN."""
    if not math.isfinite(a):
        return a
    return math.copysign(float(math.floor(a)), a) if a < 1 else float(math.floor(a))


def ceil(a: float) -> float:
    """The next whole float at or above; ``ceil(-0.5)`` is minus zero."""
    return -floor(-a)


def round_even(a: float) -> float:
    """The nearest whole float, ties to the even one; keeps the sign of zero."""
    return math.copysign(float(round(a)), a) if math.isfinite(a) else a


def inverse(b: float) -> float:
    """``1 / b``: polars divides by a constant by multiplying with this."""
    return true_div(1.0, b)


def sqrt(a: float) -> float:
    """A root; NaN below zero."""
    return math.nan if a < 0 else math.sqrt(a)


def exp(a: float) -> float:
    """An exponential; infinite where it overflows."""
    try:
        return math.exp(a)
    except OverflowError:
        return math.inf


def log(a: float) -> float:
    """The natural logarithm; minus infinity at zero, NaN below."""
    if a > 0:
        return math.log(a)
    return -math.inf if a == 0 else math.nan


def log1p(a: float) -> float:
    """``log(1 + a)``; minus infinity at -1, NaN below."""
    if a > -1:
        return math.log1p(a)
    return -math.inf if a == -1 else math.nan


def sin(a: float) -> float:
    """A sine; NaN at infinities."""
    return math.nan if math.isinf(a) else math.sin(a)


def cos(a: float) -> float:
    """A cosine; NaN at infinities."""
    return math.nan if math.isinf(a) else math.cos(a)
