from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError
from raypipe.models import metrics

pairs = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])),
    min_size=1,
    max_size=40,
)


@given(pairs)
def test_roc_auc_is_the_share_of_pairs_in_order(rows: list[tuple[float, float]]) -> None:
    positive = [p for y, p in rows if y == 1.0]
    negative = [p for y, p in rows if y == 0.0]
    value = metrics.roc_auc([y for y, _ in rows], [p for _, p in rows])
    if not positive or not negative:
        assert math.isnan(value)
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in positive for b in negative)
    assert value == pytest.approx(wins / (len(positive) * len(negative)), abs=1e-12)


@given(pairs)
def test_average_precision_equals_the_sum_over_thresholds(rows: list[tuple[float, float]]) -> None:
    y = np.array([y for y, _ in rows])
    p = np.array([p for _, p in rows])
    value = metrics.average_precision(y, p)
    if not y.any():
        assert math.isnan(value)
        return
    total, before = 0.0, 0.0
    for threshold in sorted(set(p), reverse=True):
        chosen = p >= threshold
        recall = y[chosen].sum() / y.sum()
        total += (recall - before) * y[chosen].mean()
        before = recall
    assert value == pytest.approx(total, abs=1e-12)


def test_losses_by_hand() -> None:
    y, p = [1.0, 0.0, 1.0], [0.8, 0.4, 0.5]
    assert metrics.log_loss(y, p) == pytest.approx(
        -(math.log(0.8) + math.log(0.6) + math.log(0.5)) / 3
    )
    assert metrics.brier(y, p) == pytest.approx((0.04 + 0.16 + 0.25) / 3)
    assert metrics.accuracy(y, p) == 1.0
    assert math.isfinite(metrics.log_loss([1.0, 0.0], [0.0, 1.0]))


@pytest.mark.parametrize("metric", metrics.ALL)
def test_bad_input_is_refused_and_no_rows_give_nan(metric: metrics.Metric) -> None:
    with pytest.raises(ConfigError, match="2 labels, 1 scores"):
        metric([1, 0], [0.5])
    with pytest.raises(ConfigError, match="needs labels 0 or 1"):
        metric([float("nan")], [0.5])
    assert math.isnan(metric([], []))
    assert pickle.loads(pickle.dumps(metric)) is metric


def test_better_follows_the_direction_and_nan_never_wins() -> None:
    assert metrics.roc_auc.better(0.7, 0.6)
    assert metrics.log_loss.better(0.6, 0.7)
    assert not metrics.roc_auc.better(0.6, 0.6)
    assert not metrics.roc_auc.better(float("nan"), 0.1)
    with pytest.raises(ConfigError, match="roc_auc"):
        metrics.by_name("auc")
