"""Laws of the spread of numbers that hold for every input."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features import part_cells as module
from raypipe.features.cells import Cells
from raypipe.features.keys import floats_of, keys_of
from raypipe.features.spread import MOST, Spread

VALUES = st.one_of(
    st.integers(-40, 40).map(float),
    st.floats(allow_nan=False),
    st.sampled_from([math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308]),
)
ROWS = st.tuples(VALUES, st.sampled_from([0.0, 1.0, 3.0, None]))
PARTS = st.lists(st.lists(ROWS, max_size=60), min_size=1, max_size=9)
# How a part's values are made, from a generator and a number of rows.
MADE = {
    "normal": lambda rng, n: rng.normal(size=n),
    "narrow": lambda rng, n: 1.7e9 + rng.random(n) * 1e4,
    "far apart": lambda rng, n: np.exp2(rng.random(n) * 2000 - 1000) * rng.choice([-1, 1], n),
    "one value often": lambda rng, n: np.where(rng.random(n) < 0.4, 99.9, rng.normal(size=n)),
    "whole": lambda rng, n: rng.integers(-3_000, 3_000, n).astype(float),
    "numbers": lambda rng, n: rng.integers(0, 10**9, n).astype(float),
    "money": lambda rng, n: np.round(rng.exponential(30, n), 2),
    "outlier": lambda rng, n: np.append(rng.normal(size=n - 1) + 1e6, -999.0),
    "speeds": lambda rng, n: rng.normal(800, 60, n),
    "sorted": lambda rng, n: np.sort(rng.normal(size=n)),
}


def one(values, labels):
    made = Spread()
    known = np.array([label is not None for label in labels], np.bool_)
    given_labels = np.array([label or 0.0 for label in labels], np.float64)
    made.update(np.array(values, np.float64), given_labels, None if known.all() else known)
    return made


def cells(spread):
    if not spread.chunks:
        return ()
    all_of = Cells.joined(spread.chunks).summed()
    return tuple(
        of.tobytes() for of in (all_of.low, all_of.open, all_of.rows, all_of.labelled, all_of.sums)
    )


def merged(parts, order):
    total = Spread()
    for number in order:
        total.merge(pickle.loads(pickle.dumps(parts[number])))
    return total


@settings(deadline=None)
@given(PARTS, st.randoms(use_true_random=False))
def test_no_order_of_merging_changes_a_bit_of_few_values(parts, random):
    whole = one(*zip(*[row for part in parts for row in part], strict=True)) if any(parts) else None
    made = [one([v for v, _ in part], [y for _, y in part]) for part in parts]
    order = list(range(len(made)))
    random.shuffle(order)
    assert cells(merged(made, order)) == (cells(whole) if whole else ())


@settings(deadline=None)
@given(PARTS)
def test_few_values_are_counted_exactly(parts):
    rows = [row for part in parts for row in part]
    total = merged([one([v for v, _ in p], [y for _, y in p]) for p in parts], range(len(parts)))
    cut = total.cut(8)
    assert cut.error == 0.0
    assert list(cut.edges) == sorted(set(cut.edges))
    assert all(math.isfinite(edge) for edge in cut.edges)
    at = np.searchsorted(np.array(cut.edges), [v for v, _ in rows], side="right")
    want = [[y for place, (_, y) in zip(at, rows, strict=True) if place == bin_]
            for bin_ in range(len(cut.rows))]  # fmt: skip
    assert list(cut.rows) == [len(labels) for labels in want]
    assert list(cut.labelled) == [sum(y is not None for y in labels) for labels in want]
    assert list(cut.sums) == [sum(y or 0.0 for y in labels) for labels in want]


@pytest.mark.parametrize("kind", MADE)
def test_many_values_are_within_the_error_that_is_told(kind):
    rng = np.random.default_rng(3)
    parts = [MADE[kind](rng, rows) for rows in (30_000, 9_000, 20, 61_000, 14_000, 30_000)]
    labels = [rng.integers(0, 2, len(part)).astype(float) for part in parts]
    made = [one(part, label.tolist()) for part, label in zip(parts, labels, strict=True)]
    total = merged(made, range(len(made)))
    if sum(state.held for state in made) <= 2 * MOST:  # and no cells were put together
        assert cells(total) == cells(merged(made, [4, 1, 0, 5, 3, 2]))
    else:
        assert kind == "far apart"
    cut = total.cut(32)
    values = np.concatenate(parts)
    at = np.searchsorted(np.array(cut.edges), values, side="right")
    rows = np.bincount(at, minlength=len(cut.rows))
    assert sum(cut.rows) == sum(cut.labelled) == len(values)
    assert np.abs(rows - cut.rows).max() <= cut.error * len(values)
    assert cut.error <= 2 / module.SHARE
    ones = np.bincount(at, np.concatenate(labels), minlength=len(cut.rows))
    assert np.abs(ones - cut.sums).max() <= cut.error * len(values)
    # Bins are of one size, but for values that many rows share.
    share = np.unique(values, return_counts=True)[1].max() / len(values)
    assert rows.max() / len(values) <= 1 / 32 + max(share, 2 / module.SHARE)


@pytest.mark.parametrize("kind", MADE)
def test_counting_all_rows_once_more_gives_the_cells_that_picking_out_gives(kind, monkeypatch):
    rng = np.random.default_rng(5)
    parts = [MADE[kind](rng, rows) for rows in (40_000, 300_000)]
    labels = [rng.integers(0, 2, len(part)).astype(float).tolist() for part in parts]
    finer, took = module._finer, []

    def noted(*given):
        took.append(finer(*given))
        return took[-1]

    monkeypatch.setattr(module, "_finer", noted)
    quick = [cells(one(part, label)) for part, label in zip(parts, labels, strict=True)]
    assert kind != "speeds" or all(found is not None for found in took)
    monkeypatch.setattr(module, "_finer", lambda *_: None)
    assert quick == [cells(one(part, label)) for part, label in zip(parts, labels, strict=True)]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_memory_is_bounded_and_the_error_stays_small(seed):
    rng = np.random.default_rng(seed)
    total, values = Spread(), []
    for _ in range(60):  # each part is exact, all of them have far too many values
        part = np.exp2(rng.random(3_000) * 600 - 300) * rng.choice([-1, 1], 3_000)
        values.append(part)
        state = Spread()
        state.update(part)
        total.merge(state)
        assert total.held <= 2 * MOST
    cut = total.cut(32)
    rows = np.bincount(np.searchsorted(np.array(cut.edges), np.concatenate(values), side="right"))
    assert np.abs(rows - cut.rows).max() <= cut.error * 180_000
    assert cut.error <= 2 / module.SHARE
    assert rows.max() / 180_000 <= 1 / 32 + 2 / module.SHARE


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=50))
def test_keys_rise_as_the_floats_do_and_tell_them(values):
    floats = np.array(values)
    keys = keys_of(floats)
    assert floats_of(keys).tolist() == (floats + 0.0).tolist()
    assert ((keys[:, None] < keys[None, :]) == (floats[:, None] < floats[None, :])).all()
