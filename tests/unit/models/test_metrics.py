from __future__ import annotations

import math
import pickle
from typing import Any

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


@pytest.mark.parametrize("metric", [*metrics.ALL, metrics.ndcg(3), metrics.pinball(0.1)])
def test_bad_input_is_refused_and_no_rows_give_nan(metric: metrics.Metric) -> None:
    many = metric.kind == "multiclass"
    groups = {"groups": [1, 1]} if metric.kind == "ranking" else {}
    with pytest.raises(ConfigError, match="2 labels, 1 scores"):
        metric([1, 0], [[0.5, 0.5]] if many else [0.5], **groups)
    with pytest.raises(ConfigError, match="needs labels"):
        metric([1, float("nan")], [[0.5, 0.5]] * 2 if many else [0.5, 0.5], **groups)
    with pytest.raises(ConfigError, match="finite scores"):
        metric([1, 0], [[0.5, math.nan]] * 2 if many else [0.5, math.inf], **groups)
    assert math.isnan(metric([], [], **({"groups": []} if groups else {})))
    again = pickle.loads(pickle.dumps(metric))
    assert again == metric
    assert metrics.by_name(metric.name) == metric


def test_weights_and_groups_are_held_against_the_kind() -> None:
    with pytest.raises(ConfigError, match="weights >= 0"):
        metrics.rmse([1, 2], [1, 2], weights=[1, -1])
    with pytest.raises(ConfigError, match="2 labels, 1 weights"):
        metrics.rmse([1, 2], [1, 2], weights=[1])
    with pytest.raises(ConfigError, match="takes no groups"):
        metrics.rmse([1, 2], [1, 2], groups=[1, 1])
    with pytest.raises(ConfigError, match="needs groups"):
        metrics.ndcg()([1, 2], [1, 2])
    with pytest.raises(ConfigError, match="each class"):
        metrics.multi_accuracy([0.0], [0.5])
    with pytest.raises(ConfigError, match="needs labels 0 to 1"):
        metrics.multi_accuracy([2.0], [[0.5, 0.5]])
    assert math.isnan(metrics.rmse([1.0], [2.0], weights=[0]))
    assert metrics.rmse([1.0, 5.0], [2.0, 0.0], weights=[1, 0]) == 1.0


@pytest.mark.parametrize(
    "made",
    [
        lambda: metrics.ndcg(0),
        lambda: metrics.pinball(1.0),
        lambda: metrics.recall_at_precision(0.0),
        lambda: metrics.by_name("ndcg@x"),
        lambda: metrics.by_name("rsme"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(made: object) -> None:
    with pytest.raises(ConfigError):
        made()  # type: ignore[operator]


def test_better_follows_the_direction_and_nan_never_wins() -> None:
    assert metrics.roc_auc.better(0.7, 0.6)
    assert metrics.log_loss.better(0.6, 0.7)
    assert not metrics.roc_auc.better(0.6, 0.6)
    assert not metrics.roc_auc.better(float("nan"), 0.1)
    with pytest.raises(ConfigError, match="roc_auc"):
        metrics.by_name("auc")
    with pytest.raises(ConfigError, match="Did you mean 'rmse'"):
        metrics.by_name("rsme")


@pytest.mark.parametrize(
    ("labels", "scores", "weights", "what"),
    [
        (["a", "b"], [0.1, 0.2], None, "labels"),
        ([0, 1], ["x", None], None, "scores"),
        ([0, 1], [0.1, 0.2], ["w", "w"], "weights"),
        ([[0], [1, 1]], [0.1, 0.2], None, "labels"),
    ],
)
def test_what_is_no_number(labels: object, scores: object, weights: object, what: str) -> None:
    with pytest.raises(ConfigError, match=f"roc_auc needs {what} that are numbers"):
        metrics.roc_auc(labels, scores, weights=weights)


MARGINS = np.array([-3.0, -0.5, 0.5, 3.0])
OF_ORDER = {"roc_auc", "average_precision"}


@pytest.mark.parametrize("metric", [m for m in metrics.ALL if m.kind == "binary"])
@pytest.mark.parametrize("beyond", [-1e-9, 1 + 1e-9, 3.0])
def test_a_score_that_is_no_probability(metric: metrics.Metric, beyond: float) -> None:
    """Each figure but those of order; scikit-learn raises a ValueError there."""
    labels, scores = [0, 1, 0, 1], [0.0, 1.0, 0.3, beyond]
    assert metric.probabilities == (metric.name not in OF_ORDER)
    if not metric.probabilities:
        assert math.isfinite(metric(labels, scores))
        return
    with pytest.raises(ConfigError, match="needs scores that are probabilities") as told:
        metric(labels, scores)
    assert float(str(told.value.got)) == beyond
    assert math.isfinite(metric(labels, [0.0, 1.0, 0.3, 1.0]))


def test_a_probability_of_a_class_that_is_none() -> None:
    labels, good = [0, 1, 2], np.eye(3)
    bad = good - 0.1
    with pytest.raises(ConfigError, match="multi_log_loss needs scores that are probabilities"):
        metrics.multi_log_loss(labels, bad)
    assert metrics.multi_accuracy(labels, bad) == metrics.multi_accuracy(labels, good) == 1.0


def test_margins_have_figures_of_order_and_no_others() -> None:
    figures = metrics.evaluate([0, 0, 1, 1], MARGINS)
    assert {name for name, value in figures.items() if value is not None} == OF_ORDER
    assert figures["roc_auc"] == metrics.roc_auc([0, 0, 1, 1], 1 / (1 + np.exp(-MARGINS)))
    assert metrics.ndcg()([0, 0, 1, 1], MARGINS, groups=[0, 0, 0, 0]) == 1.0
    assert metrics.recall_at_precision(0.9)([0, 0, 1, 1], MARGINS) == 1.0


@pytest.mark.parametrize("kind", ["binary", "regression", "multiclass"])
@pytest.mark.parametrize("scores", [["a", "b"], [[0.1], [0.2, 0.3]], [None, "0.5?"]])
def test_scores_that_are_no_numbers_are_refused_in_our_words(kind: Any, scores: Any) -> None:
    with pytest.raises(ConfigError, match="needs scores that are numbers"):
        metrics.evaluate([0, 1], scores, kind=kind)
