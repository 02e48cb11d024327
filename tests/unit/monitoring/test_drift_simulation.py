"""Simulated monitors: how often they cry wolf, and how soon they find a change. All seeded."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raypipe.monitoring.martingale import (
    CELLS,
    ColumnState,
    cells_of,
    log_capital,
    online_p_values,
    uniforms,
)
from raypipe.monitoring.performance import bet, empty_ledger, log_evidence
from raypipe.monitoring.restarts import is_kept, mix_starts

RUNS, POLLS, COLUMNS, ROWS = 300, 100, 10, 20
BINS, REFERENCE_ROWS = 10, 1000


def cells_by_poll(seed: int) -> np.ndarray:
    """Running counts of p by cell of a column without drift: (POLLS + 1, CELLS).

    Edges are quantiles of the same training rows that are counted, as a profile takes them.
    """
    rng = np.random.default_rng(seed)
    training = rng.normal(size=REFERENCE_ROWS)
    edges = np.quantile(training, np.arange(1, BINS) / BINS)
    counts = np.bincount(np.searchsorted(edges, training, side="right"), minlength=BINS)
    live = np.searchsorted(edges, rng.normal(size=POLLS * ROWS), side="right")
    cells = cells_of(online_p_values(live, counts, uniforms(seed, 0, len(live))))
    by_poll = np.zeros((POLLS + 1, CELLS), dtype=np.int64)
    np.add.at(by_poll, (np.arange(len(cells)) // ROWS + 1, cells), 1)
    return by_poll.cumsum(axis=0)


def test_false_alarms_stay_within_the_bound_however_often_one_looks():
    cells = np.stack([cells_by_poll(seed) for seed in range(RUNS * COLUMNS)])
    largest = np.full(RUNS, -math.inf)
    for now in range(1, POLLS + 1):
        starts = np.array([s for s in range(now + 1) if is_kept(s, now)])
        capital = log_capital(cells[:, now, None] - cells[:, starts])
        log_e = mix_starts(starts, capital, now).reshape(RUNS, COLUMNS)
        mean = np.logaddexp.reduce(log_e, axis=1) - math.log(COLUMNS)
        largest = np.maximum(largest, mean)
    # Ville: P(the mean ever reaches 1/a) is at most a. Four standard deviations of slack.
    for bound in (0.01, 0.05, 0.2):
        share = float(np.mean(largest >= -math.log(bound)))
        assert share <= bound + 4 * math.sqrt(bound * (1 - bound) / RUNS)


def test_the_batched_evidence_is_that_of_the_state():
    by_poll = cells_by_poll(3)
    state = ColumnState.empty(BINS)
    ledger = state.cells
    for now in range(1, 31):
        ledger = ledger.add((by_poll[now] - by_poll[now - 1]).tolist()).close()
    starts = np.array([s for s in range(31) if is_kept(s, 30)])
    expected = mix_starts(starts, log_capital(by_poll[30] - by_poll[starts]), 30)
    assert ledger.log_e(log_capital(ledger.since())) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("shift", "spread", "rows"), [(0.5, 1.0, 300), (0.2, 1.0, 1500), (0.0, 1.3, 1300)]
)
def test_a_change_is_found_within_the_stated_rows(shift: float, spread: float, rows: int):
    # One column, 20,000 training rows, evidence of 1,000 (1 in 10 columns at false_alarm 0.01),
    # windows of 100 rows: found within `rows` rows in at least 90 of 100 runs.
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        training = rng.normal(size=20_000)
        edges = np.quantile(training, np.arange(1, BINS) / BINS)
        counts = np.bincount(np.searchsorted(edges, training, side="right"), minlength=BINS)
        state = ColumnState.empty(BINS)
        for _ in range(rows // 100):
            live = np.searchsorted(edges, rng.normal(shift, spread, 100), side="right")
            state = state.update(live, counts, seed).close()
            if state.log_e >= math.log(1000):
                found += 1
                break
    assert found >= 90


def test_losses_at_the_limit_seldom_look_worse_and_worse_ones_soon_do():
    rng = np.random.default_rng(11)
    false, found = 0, 0
    for _ in range(300):
        quiet, worse = empty_ledger(), empty_ledger()
        alarmed = detected = False
        for _ in range(50):
            quiet = bet(quiet, rng.binomial(1, 0.2, 100) * 0.8, 0.16).close()
            alarmed = alarmed or log_evidence(quiet) >= math.log(20)
        for _ in range(15):
            worse = bet(worse, rng.binomial(1, 0.25, 100) * 0.8, 0.16).close()
            detected = detected or log_evidence(worse) >= math.log(20)
        false, found = false + alarmed, found + detected
    assert false / 300 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 300)
    assert found >= 270
