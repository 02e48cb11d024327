"""Exact sums against fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features.sums import ExactSum, deviation

FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [1e308, -1e308, 5e-324, 1.0, 2.0**-1022, 0.1]
)


def _of(values: list[float]) -> tuple[ExactSum, ExactSum]:
    plain, squares = ExactSum(), ExactSum()
    plain.update(np.array(values, np.float64))
    squares.update_squares(np.array(values, np.float64))
    return plain, squares


@settings(max_examples=200, deadline=None)
@given(st.lists(FLOATS, max_size=30), st.integers(0, 30))
def test_a_sum_is_exact_and_rounded_once_however_it_is_cut(values: list[float], cut: int) -> None:
    plain, squares = _of(values)
    exact = sum(map(Fraction, values), Fraction(0))
    assert Fraction(plain.units, 2**2148) == exact
    assert Fraction(squares.units, 2**2148) == sum((Fraction(v) ** 2 for v in values), Fraction(0))
    left, right = _of(values[cut:]), _of(values[:cut])
    for one, other, whole in zip(left, right, (plain, squares), strict=True):
        one.merge(other)
        assert one == whole
    if values:
        assert plain.mean() == float(exact / len(values))


def test_a_sum_that_no_float_holds_is_infinite_and_its_mean_is_not() -> None:
    plain, _ = _of([1e308] * 3)
    assert plain.value() == math.inf
    assert plain.mean() == 1e308
    assert _of([-1e308] * 3)[0].value() == -math.inf
    with pytest.raises(ZeroDivisionError):
        ExactSum().mean()


@settings(max_examples=200, deadline=None)
@given(st.lists(FLOATS | st.floats(1e9, 1e9 + 1), min_size=1, max_size=20))
def test_a_deviation_is_right_to_the_last_bits(values: list[float]) -> None:
    mean = sum(map(Fraction, values)) / len(values)
    variance = sum((Fraction(value) - mean) ** 2 for value in values) / len(values)
    found = Fraction(deviation(*_of(values)))
    # Two neighbours of a float enclose the root; the least float is a step of its own.
    step = max(found * Fraction(1, 2**51), Fraction(1, 2**1074))
    assert max(found - step, Fraction(0)) ** 2 <= variance <= (found + step) ** 2


def test_many_values_of_several_chunks() -> None:
    values = np.random.default_rng(7).normal(1e6, 1e-3, 50_001)
    plain, squares = _of(values.tolist())
    assert plain.value() == math.fsum(values.tolist())
    assert plain.count == 50_001
    assert Fraction(squares.units, 2**2148) == sum(Fraction(v) ** 2 for v in values.tolist())


@pytest.mark.parametrize("shift", [0, 60, -200, -290, -400, 390])
@pytest.mark.parametrize(
    "made",
    [
        lambda rng, n: np.full(n, 1 - 2.0**-53),
        lambda rng, n: np.where(rng.random(n) < 0.5, -1.0, 1.0 + 2.0**-52),
        lambda rng, n: rng.normal(0, 1, n),
        lambda rng, n: np.exp2(-rng.random(n) * 110) * rng.choice([-1.0, 1.0], n),
        lambda rng, n: rng.integers(-5_000, 5_000, n).astype(np.float64),
        lambda rng, n: np.append(np.zeros(n - 1), -0.3),
    ],
    ids=["largest", "two signs", "normal", "wide", "whole", "one"],
)
def test_full_chunks_are_exact(made, shift: int) -> None:
    values = made(np.random.default_rng(3), 2 * 2**14 + 5) * 2.0**shift
    plain, squares = ExactSum(), ExactSum()
    plain.update(values)
    squares.update_squares(values)
    # Whole numbers of one unit; the least bit of any of these values is no finer.
    unit = 2**900
    whole = [int(Fraction(value) * unit) for value in values.tolist()]
    assert all(Fraction(n, unit) == v for n, v in zip(whole[:100], values.tolist(), strict=False))
    assert Fraction(plain.units, 2**2148) == Fraction(sum(whole), unit)
    assert Fraction(squares.units, 2**2148) == Fraction(sum(n * n for n in whole), unit**2)
