"""Laws of where bins end that hold for every column."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.training.cut_points import (
    BLOCK,
    ColumnSketch,
    Spread,
    held_bytes,
    joined,
    representatives,
    thinned,
)
from raypipe.training.sketching import Sketch

KINDS = st.sampled_from(["distinct", "few", "half zeros", "half missing", "growing", "one value"])
SEEDS = st.integers(0, 2**32 - 1)


def column(seed, rows, kind):
    rng = np.random.default_rng(seed)
    values = rng.permutation(rows).astype(np.float32) - rows // 3
    if kind == "few":
        values = rng.zipf(1.5, rows).clip(0, 90).astype(np.float32)
    if kind == "half zeros":
        values[rng.random(rows) < 0.5] = rng.choice([0.0, -0.0])
    if kind == "half missing":
        values[rng.random(rows) < 0.5] = np.nan
    if kind == "growing":  # few distinct values at first, then many
        values[: rows // 2] = values[: rows // 2] // (rows // 20 + 1)
    if kind == "one value":
        values[:] = values[:1]
    return values


def spread_of(values, max_bin, block, cuts=()):
    sketch = ColumnSketch(max_bin, block)
    for part in np.split(values, sorted(cuts)):
        sketch.update(part)
    return sketch.spread()


def same(one, other):
    return (one.values.tobytes(), one.counts.tobytes()) == (
        other.values.tobytes(),
        other.counts.tobytes(),
    )


@settings(deadline=None)
@given(SEEDS, st.integers(0, 5000), KINDS, st.lists(st.integers(0, 5000), max_size=5))
def test_batches_change_no_bit(seed, rows, kind, cuts):
    values = column(seed, rows, kind)
    whole = spread_of(values, 2, 512)
    parted = spread_of(values, 2, 512, [min(cut, rows) for cut in cuts])
    assert same(whole, parted)
    known = values[~np.isnan(values)]
    assert whole.counts.sum() == len(known)
    if len(known):
        assert whole.values[[0, -1]].tolist() == [known.min(), known.max()]
        assert np.isin(whole.values, known).all()
    assert (np.diff(whole.values) > 0).all()


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(200, 90_000), st.sampled_from([(4, 1024), (3, 512), (16, 1024)]))
def test_ranks_of_cut_points_are_within_an_eighth_of_a_bin(seed, rows, shape):
    """Of distinct values; up to 175 blocks, so that samples of samples are thinned."""
    max_bin, block = shape
    values = column(seed, rows, "distinct")
    found = representatives(spread_of(values, max_bin, block), max_bin)
    assert len(found) == max_bin + 1
    below = np.searchsorted(np.sort(values), found[1:-1])
    wanted = np.arange(1, max_bin) * rows / max_bin
    assert np.abs(below - wanted).max() <= rows / (8 * max_bin) + 1


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 30_000), KINDS, st.sampled_from([2, 5, 16]))
def test_only_by_one_value_can_a_bin_hold_far_more_than_its_share(seed, rows, kind, max_bin):
    values = column(seed, rows, kind)
    values = values[~np.isnan(values)]
    found = representatives(spread_of(values, max_bin, 1024), max_bin)
    assert len(found) <= max_bin + 1
    bins = np.searchsorted(found[1:-1], values, side="right")
    for number in range(len(found)):
        counts = np.unique(values[bins == number], return_counts=True)[1]
        others = counts.sum() - counts.max(initial=0)
        assert others <= 2.25 * len(values) / max_bin + 2


@settings(deadline=None)
@given(SEEDS, st.integers(1, 4000), KINDS, st.integers(4, 60), st.integers(2, 5))
def test_ranks_that_tell_a_part_are_off_by_half_of_what_a_value_stands_for(
    seed, rows, kind, most, ranks
):
    values = column(seed, rows, kind)
    values = values[~np.isnan(values)]
    parts = [spread_of(part, 2, 8192) for part in np.array_split(values, ranks)]
    told = joined([thinned(part, most) for part in parts])
    assert told.counts.sum() == len(values)
    assert len(told.values) <= ranks * (most + 2)
    if not len(values):
        return
    assert told.values[[0, -1]].tolist() == [values.min(), values.max()]
    ordered = np.sort(values)
    below = np.cumsum(told.counts) - told.counts
    off = below - np.searchsorted(ordered, told.values)
    assert np.abs(off).max() <= sum(-(-part.counts.sum() // most) / 2 + 1 for part in parts)


def test_a_value_of_many_rows_has_a_bin_of_its_own_and_rare_ones_keep_theirs():
    rng = np.random.default_rng(0)
    values = np.zeros(400_000, np.float32)
    rare = np.arange(1, 4001)
    values[rng.permutation(len(values))[:4000]] = rare
    found = representatives(spread_of(values, 256, BLOCK), 256)
    assert found[0] == 0.0
    assert len(found) == 256  # all but the two that zero counts for, and its ends
    share = np.diff(np.searchsorted(rare, found[1:]))
    assert share.max() <= 3 * 4000 / 254


VALUES = st.sampled_from([np.nan, 0.0, 1.0, -1.0, 0.1, 1e-40, -3e38, 3e38, 7.25, 1e9, np.pi, -2.5])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(VALUES, min_size=3, max_size=3), min_size=1, max_size=60),
    st.one_of(st.integers(2, 12), st.sampled_from([16, 255, 256, 257, 512, 1024])),
    st.booleans(),
)
def test_few_distinct_values_have_the_bins_of_xgboost(rows, max_bin, negative):
    features = np.array(rows, np.float32)
    if negative:
        features = np.where(features == 0.0, np.float32(-0.0), features)
    distinct = max(len(np.unique(one[~np.isnan(one)])) for one in features.T)
    label = np.arange(len(features)) % 2
    own = xgboost.QuantileDMatrix(features, label=label, max_bin=max_bin, nthread=1)
    with Sketch(3, max_bin, 2) as sketch:
        sketch.update(features)
        small = sketch.representatives()
    ref = xgboost.QuantileDMatrix(small, max_bin=max_bin, nthread=1)
    ours = xgboost.QuantileDMatrix(features, label=label, max_bin=max_bin, nthread=1, ref=ref)
    if distinct > max_bin:
        _, cuts = ours.get_quantile_cut()
        assert len(cuts) <= 3 * (max_bin + 1)
        return
    for mine, theirs in zip(ours.get_quantile_cut(), own.get_quantile_cut(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    if negative:  # of two equal zeros another one may be written
        return
    params = {"max_bin": max_bin, "nthread": 1, "max_depth": 3, "min_child_weight": 0}
    models = {bytes(xgboost.train(params, one, 3).save_raw("ubj")) for one in (ours, own)}
    assert len(models) == 1


@pytest.mark.parametrize("max_bin", [2, 3, 16, 255, 256, 257, 512, 1024])
def test_xgboost_keeps_every_cut_point_that_it_is_given(max_bin):
    features = np.random.default_rng(max_bin).normal(size=(3000, 2)).astype(np.float32)
    with Sketch(2, max_bin, 1) as sketch:
        sketch.update(features)
        small = sketch.representatives()
    assert small.shape == (max_bin + 1, 2)
    ref = xgboost.QuantileDMatrix(small, max_bin=max_bin, nthread=1)
    starts, cuts = xgboost.QuantileDMatrix(features, max_bin=max_bin, ref=ref).get_quantile_cut()
    assert np.diff(starts).tolist() == [max_bin + 1] * 2  # with a lower end of each
    for number in range(2):
        mine = cuts[int(starts[number]) : int(starts[number + 1])]
        assert mine[1:-1].tolist() == small[1:-1, number].tolist()
        assert mine[0] < features[:, number].min()
        assert mine[-1] > features[:, number].max()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(70_000, 7)).astype(np.float32)
    features[rng.random(features.shape) < 0.2] = np.nan
    found = []
    for count in (1, threads):
        with Sketch(7, 16, count) as sketch:
            for part in np.array_split(features, count):
                sketch.update(part)
            found.append(sketch.representatives().tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("rows", [1000, 10 * BLOCK, 70 * BLOCK])
def test_a_sketch_holds_no_more_than_is_told(rows):
    sketch = ColumnSketch(256)
    for _ in range(0, rows, BLOCK):
        sketch.update(np.random.default_rng(0).random(min(rows, BLOCK), np.float32))
    held = sketch._begun.nbytes + sum(one.nbytes for level in sketch._levels for one in level)
    assert held <= held_bytes(rows, 1, 256)


def test_no_value_is_no_value():
    empty = ColumnSketch(4).spread()
    assert (len(empty.values), len(empty.counts)) == (0, 0)
    assert representatives(empty, 4).tolist() == []
    assert same(joined([empty, empty]), Spread(np.empty(0, np.float32), np.empty(0, np.int64)))
