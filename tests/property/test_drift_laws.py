"""Laws of the drift evidence that hold for every input."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.monitoring.evidence import judge, log_mean, name_guilty
from raypipe.monitoring.martingale import CELLS, ColumnState, log_capital
from raypipe.monitoring.performance import bet, empty_ledger, log_evidence
from raypipe.monitoring.restarts import Ledger, is_kept

CODES = st.lists(st.integers(0, 4), max_size=60)
REFERENCE = st.lists(st.integers(0, 50), min_size=5, max_size=5)


def feed(parts: list[list[int]], reference: list[int], key: int) -> ColumnState:
    state = ColumnState.empty(5)
    for part in parts:
        state = state.update(np.array(part, dtype=np.int64), np.array(reference), key)
    return state


@given(CODES, REFERENCE, st.integers(0, 2**64 - 1), st.lists(st.integers(0, 60), max_size=6))
def test_any_split_of_the_rows_gives_the_same_state(codes, reference, key, cuts):
    edges = [0, *sorted(min(c, len(codes)) for c in cuts), len(codes)]
    parts = [codes[a:b] for a, b in pairwise(edges)]
    assert feed(parts, reference, key) == feed([codes], reference, key)


@given(st.lists(CODES, max_size=12), REFERENCE)
def test_a_column_state_survives_json(windows, reference):
    state = ColumnState.empty(5)
    for codes in windows:
        state = state.update(np.array(codes, dtype=np.int64), np.array(reference), 5).close()
    assert ColumnState.from_json(json.loads(json.dumps(state.to_json()))) == state


@given(st.lists(st.lists(st.integers(0, 9), min_size=CELLS, max_size=CELLS), max_size=7))
def test_the_evidence_is_a_martingale(windows):
    # Under the null each cell comes next with probability 1/CELLS: the expected evidence after one
    # more row must be the evidence now, and closing a window must not move it.
    ledger = Ledger.empty(CELLS)
    for counts in windows:
        open_window = ledger.add(counts)
        ledger = open_window.close()
        assert evidence(ledger) == pytest.approx(evidence(open_window), rel=1e-9)
    after = [evidence(ledger.add(np.eye(CELLS, dtype=int)[cell].tolist())) for cell in range(CELLS)]
    assert np.mean(after) == pytest.approx(evidence(ledger), rel=1e-9)


def evidence(ledger: Ledger) -> float:
    return math.exp(ledger.log_e(log_capital(ledger.since())))


def test_thinning_never_adds_evidence_and_keeps_the_state_small():
    rng = np.random.default_rng(1)
    ledger = Ledger.empty(CELLS)
    for window in range(1, 600):
        open_window = ledger.add(rng.multinomial(200, np.full(CELLS, 1 / CELLS)).tolist())
        ledger = open_window.close()
        assert evidence(ledger) <= evidence(open_window) * (1 + 1e-9)
        assert [s for s, _ in ledger.starts] == [s for s in range(window + 1) if is_kept(s, window)]
    assert len(ledger.starts) < 40
    assert ledger.starts[0][0] == 0


@given(
    st.lists(st.floats(0, 1), max_size=30), st.floats(0.01, 0.9), st.floats(0, 1), st.floats(0, 1)
)
def test_the_bet_on_worse_losses_is_a_supermartingale(history, limit, low, high):
    # A next loss of two values whose mean is exactly the limit: the expected evidence stays.
    low, high = low * limit, limit + high * (1 - limit)
    ledger = bet(empty_ledger(), np.array(history), limit).close()
    up, down = (
        math.exp(log_evidence(bet(ledger, np.array([loss]), limit))) for loss in (high, low)
    )
    share = 0.0 if high == low else (limit - low) / (high - low)
    now = math.exp(log_evidence(ledger))
    assert share * up + (1 - share) * down == pytest.approx(now, rel=1e-6)


@given(st.permutations([0.1, 0.9, 0.3, 0.25, 0.7, 1e-9, 1.0]))
def test_losses_may_come_in_any_order(losses):
    wanted = bet(empty_ledger(), np.array(sorted(losses)), 0.2)
    assert bet(empty_ledger(), np.array(losses), 0.2) == wanted


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(-50, 900), min_size=1),
    st.floats(0.001, 0.5),
    st.data(),
)
def test_an_alarm_always_names_someone_and_never_the_silenced(log_e, false_alarm, data):
    may = {name: data.draw(st.booleans()) for name in log_e}
    verdict = judge(log_e, may, false_alarm)
    assert verdict.log_e <= log_mean(list(log_e.values())) + 1e-9
    assert verdict.alarm == bool(verdict.guilty)
    assert all(may[name] for name in verdict.guilty)
    if verdict.alarm:
        assert verdict.log_e >= -math.log(false_alarm)


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(-9, 9), min_size=1),
    st.floats(0.01, 0.5),
)
def test_e_bh_names_the_largest_set_that_its_rule_allows(log_e, share):
    named = name_guilty(log_e, share)
    values = sorted(log_e.values(), reverse=True)
    m = len(values)
    sizes = [k for k in range(1, m + 1) if values[k - 1] >= math.log(m / share) - math.log(k)]
    assert len(named) == max(sizes, default=1)
    assert min(log_e[name] for name in named) >= max(
        (log_e[name] for name in log_e if name not in named), default=-math.inf
    )
