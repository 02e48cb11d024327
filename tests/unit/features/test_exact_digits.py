"""Sums without rounding equal those of fractions, whatever the values and their order."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features.transforms.exact import digits, nearest, rounded, squares, whole

VALUES = st.lists(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(-100, 100)
    | st.integers(-(2**40), 2**40).map(float)
    | st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1]),
    min_size=1,
    max_size=30,
)


def _close(total: Fraction) -> float:
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=VALUES)
def test_a_sum_is_rounded_once(values: list[float]) -> None:
    found = {place: column.sum(keepdims=True) for place, column in digits(np.array(values)).items()}
    assert rounded(found).tolist() == [_close(sum(map(Fraction, values), Fraction()))]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=VALUES)
def test_digits_of_each_value_and_of_its_square_are_exact(values: list[float]) -> None:
    for made, power in ((digits(np.array(values)), 1), (squares(np.array(values)), 2)):
        numbers, exponent = whole(made)
        want = [Fraction(value) ** power for value in values]
        assert [n * Fraction(2) ** exponent for n in numbers] == want


def test_the_nearest_float_of_a_fraction() -> None:
    assert nearest(1, 0, 3) == 1 / 3
    assert nearest(-7, 2, 5) == -28 / 5
    assert nearest(1, 2000) == math.inf
    assert nearest(-1, 2000) == -math.inf
    assert nearest(1, -2000) == 0.0
    assert rounded({}).tolist() == []
