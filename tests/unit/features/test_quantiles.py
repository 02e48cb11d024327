from __future__ import annotations

import pickle

import numpy as np
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features.quantiles import EXACT, QuantileSketch


def _of(values: object, exact: int = EXACT) -> QuantileSketch:
    sketch = QuantileSketch(exact)
    sketch.update(np.asarray(values, np.float64))
    return sketch


def test_a_share_names_the_value_that_so_many_stand_before() -> None:
    sketch = _of([4.0, 1.0, 2.0, 3.0])
    assert sketch.quantiles([0, 0.24, 0.25, 0.5, 0.99, 1]).tolist() == [1, 1, 2, 3, 4, 4]
    assert sketch.below([0.5, 1.0, 3.5, 9.0]).tolist() == [0, 0, 3, 4]
    assert (sketch.count, sketch.kept, sketch.error) == (4, 4, 0.0)


def test_an_empty_sketch_has_no_quantile_and_merges() -> None:
    empty = QuantileSketch()
    empty.update(np.empty(0))
    assert (empty.count, empty.error) == (0, 0.0)
    assert empty.quantiles([]).tolist() == []
    with pytest.raises(RecipeError):
        empty.quantiles([0.5])
    empty.merge(_of([2.0]))
    empty.merge(QuantileSketch())
    assert empty == _of([2.0])
    assert empty != _of([2.0], 8)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(RecipeError) as refused:
        _of([1.0]).quantiles([share])
    assert refused.value.field == "shares"


def test_nan_and_other_nonsense_are_refused() -> None:
    for call in (lambda: _of([1.0, float("nan")]), lambda: _of([], 3), lambda: _of([1.0]).at([1])):
        with pytest.raises(RecipeError):
            call()


def test_a_million_values_stay_small_and_close() -> None:
    values = np.random.default_rng(3).lognormal(size=1_000_000)
    total = QuantileSketch()
    for part in np.split(values, 10):
        total.merge(_of(part))
    assert total.kept <= EXACT
    assert len(pickle.dumps(total)) < 33 * EXACT
    shares = np.linspace(0, 1, 33)
    ranks = np.searchsorted(np.sort(values), total.quantiles(shares)) / len(values)
    assert np.max(np.abs(ranks - shares)) <= total.error + 2e-6 < 0.001


def test_many_equal_values_stay_exact() -> None:
    total = QuantileSketch(64)
    for k in range(50):
        total.merge(_of(np.repeat(np.arange(40.0), k + 1), 64))
    assert total.error == 0.0
    assert total.count == 40 * 50 * 51 // 2


def test_counts_stand_for_so_many_values() -> None:
    counted = QuantileSketch(16)
    counted.update_counts(np.array([-0.0, 2.0, 5.0]), np.array([3, 1, 2]))
    assert counted == _of([5, 0, 2, 0, 5, 0], 16)


def test_values_are_thinned_alike_however_they_come() -> None:
    values = np.random.default_rng(2).integers(0, 900, 5_000).astype(np.float64)
    counted = QuantileSketch(64)
    counted.update_counts(*np.unique(values, return_counts=True))
    assert counted == _of(values, 64)
