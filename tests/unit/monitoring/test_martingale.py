from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from raypipe.monitoring.martingale import (
    CELLS,
    ColumnState,
    _log_gamma,
    cells_of,
    log_capital,
    online_p_values,
    uniforms,
)


def test_p_values_are_jointly_uniform_for_every_exchangeable_sequence():
    # Two live rows after three training rows, in each of the 120 orders: averaged over the orders
    # and over U, the pair (p4, p5) must have density 1 on every square of a grid of 1/20.
    values = [0, 0, 1, 2, 2]
    density = np.zeros((20, 20))
    for order in permutations(values):
        counts = np.bincount(order[:3], minlength=3)
        live = np.array(order[3:])
        low = np.rint(online_p_values(live, counts, np.zeros(2)) * 20).astype(int)
        high = np.rint(online_p_values(live, counts, np.ones(2)) * 20).astype(int)
        area = (high[0] - low[0]) * (high[1] - low[1])
        density[low[0] : high[0], low[1] : high[1]] += 400 / area / 120
    assert density == pytest.approx(np.ones((20, 20)))


def test_p_values_against_a_plain_loop():
    rng = np.random.default_rng(3)
    counts, codes, u = np.array([5, 0, 7, 2]), rng.integers(0, 4, 50), rng.random(50)
    seen = [code for code, n in enumerate(counts) for _ in range(n)]
    expected = []
    for code, r in zip(codes, u, strict=True):
        seen.append(code)
        expected.append((sum(s < code for s in seen) + r * seen.count(code)) / len(seen))
    assert online_p_values(codes, counts, u) == pytest.approx(expected, abs=1e-15)


def test_p_values_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(4)
    counts, codes, u = rng.integers(0, 9, 6), rng.integers(0, 6, 500), rng.random(500)
    whole = online_p_values(codes, counts, u)
    monkeypatch.setattr("raypipe.monitoring.martingale._CHUNK_VALUES", 6 * 37)
    assert np.array_equal(online_p_values(codes, counts, u), whole)


def test_uniforms_are_fixed_bits_and_look_uniform():
    # The first outputs of SplitMix64 from seed 1, as its authors' program gives them.
    published = [0x910A2DEC89025CC1, 0xBEEB8DA1658EEC67, 0xF893A2EEFB32555E]
    assert uniforms(1, 0, 3).tolist() == [(z >> 11) * 2.0**-53 for z in published]
    u = uniforms(12345, 0, 100_000)
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01
    assert np.array_equal(uniforms(12345, 700, 10), u[700:710])


def test_a_p_of_one_falls_in_the_last_cell():
    assert cells_of(np.array([0.0, 1 / CELLS, 1.0])).tolist() == [0, 1, CELLS - 1]


def test_capital_is_the_product_of_the_predictions():
    rng = np.random.default_rng(5)
    cells = rng.integers(0, CELLS, 200)
    capital = []
    for k in (2, 4, 8, 16):
        counts, log = np.full(k, 0.5), 0.0
        for cell in cells * k // CELLS:
            log += math.log(k * counts[cell] / counts.sum())
            counts[cell] += 1
        capital.append(math.exp(log))
    assert math.exp(log_capital(np.bincount(cells, minlength=CELLS))) == pytest.approx(
        np.mean(capital)
    )


@pytest.mark.parametrize("offset", [0.5, 1.0])
def test_log_gamma_meets_its_series(offset: float):
    counts = np.array([0, 1, 65_535, 65_536, 10**6, 10**9])
    expected = [math.lgamma(n + offset) for n in counts.tolist()]
    assert _log_gamma(counts, offset) == pytest.approx(expected, rel=1e-14)


def stream(state: ColumnState, codes: np.ndarray, reference: np.ndarray) -> ColumnState:
    return state.update(codes, reference, key=99).close()


def test_a_shift_is_found_and_no_shift_is_not():
    rng = np.random.default_rng(6)
    reference = np.full(10, 9000)
    quiet = moved = ColumnState.empty(10)
    for _ in range(5):
        quiet = stream(quiet, rng.integers(0, 10, 1000), reference)
        moved = stream(moved, np.minimum(rng.integers(0, 11, 1000), 9), reference)
    assert quiet.log_e < 0
    assert moved.log_e > 50
    assert quiet.rows == 5000


def test_a_change_after_forty_quiet_windows_is_found_within_two():
    rng = np.random.default_rng(8)
    reference, state = np.full(10, 2000), ColumnState.empty(10)
    for _ in range(40):
        state = stream(state, rng.integers(0, 10, 500), reference)
    assert state.log_e < 0
    late = rng.choice(10, 1000, p=np.linspace(0.05, 0.15, 10))
    state = stream(stream(state, late[:500], reference), late[500:], reference)
    assert state.log_e > math.log(1000)


def test_a_change_of_spread_is_found():
    rng = np.random.default_rng(9)
    weights = np.array([2, 1, 1, 1, 1, 1, 1, 1, 1, 2]) / 12
    state = stream(ColumnState.empty(10), rng.choice(10, 2000, p=weights), np.full(10, 9000))
    assert state.log_e > 20


def test_state_of_a_column_with_no_training_rows_and_of_no_rows():
    state = ColumnState.empty(3)
    assert state.log_e == pytest.approx(0.0)
    assert state.update(np.array([], dtype=np.int64), np.zeros(3, dtype=np.int64), 1) == state
    filled = state.update(np.array([0, 1]), np.zeros(3, dtype=np.int64), 1)
    assert filled.rows == 2
