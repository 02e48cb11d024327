"""Laws of the quantile sketch that hold for every input."""

from __future__ import annotations

import math
import pickle
from functools import reduce

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features.quantiles import QuantileSketch

VALUES = st.one_of(
    st.integers(-40, 40).map(float),
    st.floats(allow_nan=False),
    st.sampled_from([math.inf, -math.inf, 0.0, -0.0]),
)
PARTS = st.lists(st.lists(VALUES, max_size=60), min_size=1, max_size=9)
LONG = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0, 1, 2]))


def one(values, exact):
    sketch = QuantileSketch(exact)
    sketch.update(np.array(values, np.float64))
    return sketch


def both(a, b):
    made = QuantileSketch(a.exact)
    made.merge(a)
    made.merge(b)
    return made


def in_pairs(sketches):
    while len(sketches) > 1:
        sketches = [reduce(both, sketches[k : k + 2]) for k in range(0, len(sketches), 2)]
    return sketches[0]


def off_by(ordered, value, rank):
    """How far a rank is from the ranks that a value has among sorted values."""
    first = np.searchsorted(ordered, value, side="left")
    last = np.searchsorted(ordered, value, side="right") - 1
    assert ordered[first] == value
    return max(0, first - rank, rank - last)


@settings(deadline=None)
@given(PARTS, st.randoms(use_true_random=False))
def test_while_it_is_exact_no_order_of_merging_changes_a_bit(parts, random):
    whole = one([v for part in parts for v in part], 1024)
    sketches = [one(part, 1024) for part in parts]
    random.shuffle(sketches)
    while len(sketches) > 1:
        a = sketches.pop(random.randrange(len(sketches)))
        b = sketches.pop(random.randrange(len(sketches)))
        sketches.append(both(a, b))
    assert sketches[0] == whole
    assert whole.error == 0.0
    ordered = np.sort(np.array([v for part in parts for v in part], np.float64)) + 0.0
    assert whole.count == len(ordered)
    assert whole.at(range(len(ordered))).tobytes() == ordered.tobytes()
    assert whole.below(ordered).tolist() == np.searchsorted(ordered, ordered).tolist()


@settings(deadline=None)
@given(PARTS, st.sampled_from([4, 5, 8, 16]))
def test_no_answer_is_off_by_more_than_it_says(parts, exact):
    ordered = np.sort(np.array([v for part in parts for v in part], np.float64)) + 0.0
    for sketch in (
        reduce(both, [one(part, exact) for part in parts]),
        in_pairs([one(part, exact) for part in parts]),
    ):
        assert sketch.count == len(ordered)
        assert sketch.kept <= exact
        if not len(ordered):
            continue
        most = sketch.error * sketch.count
        for rank, value in enumerate(sketch.at(range(len(ordered)))):
            assert off_by(ordered, value, rank) <= most + 1e-9
        assert sketch.at([0])[0] == ordered[0]
        assert sketch.at([len(ordered) - 1])[0] == ordered[-1]
        off = np.abs(sketch.below(ordered) - np.searchsorted(ordered, ordered))
        assert np.max(off) <= 2 * most + 1


@settings(deadline=None)
@given(LONG)
def test_parts_merged_in_pairs_stay_within_the_stated_error(drawn):
    seed, parts, kind = drawn
    random = np.random.default_rng(seed)
    exact = 64
    draw = (
        lambda: random.normal(size=200),
        lambda: random.exponential(size=200).round(2),
        lambda: random.zipf(1.3, 200) + 0.0,
    )[kind]
    made = [draw() for _ in range(parts)]
    sketch = in_pairs([one(part, exact) for part in made])
    bound = (1 + math.ceil(math.log2(parts))) / exact
    assert sketch.error <= bound + 1 / sketch.count
    assert sketch.kept <= exact
    ordered = np.sort(np.concatenate(made))
    shares = np.linspace(0, 1, 33)
    for share, value in zip(shares, sketch.quantiles(shares), strict=True):
        rank = min(math.floor(share * len(ordered)), len(ordered) - 1)
        assert off_by(ordered, value, rank) <= bound * len(ordered) + 1
    again = in_pairs([one(part[::-1], exact) for part in made])
    assert again == sketch


@settings(deadline=None)
@given(PARTS, st.sampled_from([4, 16, 1024]))
def test_a_sketch_survives_arrays_and_pickle(parts, exact):
    sketch = reduce(both, [one(part, exact) for part in parts])
    for again in (
        QuantileSketch.from_arrays(sketch.to_arrays()),
        pickle.loads(pickle.dumps(sketch)),
    ):
        assert again == sketch
        assert both(again, sketch) == both(sketch, sketch)
