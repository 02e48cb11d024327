"""Metrics are those of scikit-learn, to 1e-12, with ties, weights and odd shares of classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from raypipe.models import metrics

sk = pytest.importorskip("sklearn.metrics")
CLOSE = {"abs": 1e-12, "rel": 1e-12}


def binary(seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 400))
    y = np.r_[0.0, 1.0, rng.random(n) < rng.random()].astype(float)
    p = np.round(rng.random(n + 2), int(rng.integers(1, 8)))  # few digits: many ties
    return y, p, rng.integers(1, 4, n + 2) * rng.random()


BINARY: dict[str, Callable[..., float]] = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "accuracy": lambda y, p, **w: sk.accuracy_score(y, p >= 0.5, **w),
    "precision": lambda y, p, **w: sk.precision_score(y, p >= 0.5, zero_division=0, **w),
    "recall": lambda y, p, **w: sk.recall_score(y, p >= 0.5, zero_division=0, **w),
    "f1": lambda y, p, **w: sk.f1_score(y, p >= 0.5, zero_division=0, **w),
    "balanced_accuracy": lambda y, p, **w: sk.balanced_accuracy_score(y, p >= 0.5, **w),
    "mcc": lambda y, p, **w: sk.matthews_corrcoef(y, p >= 0.5, **w),
}
REGRESSION: dict[str, Callable[..., float]] = {
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "rmsle": sk.root_mean_squared_log_error,
    "r2": sk.r2_score,
    "poisson_deviance": sk.mean_poisson_deviance,
    "pinball@0.9": lambda y, p, **w: sk.mean_pinball_loss(y, p, alpha=0.9, **w),
}
MULTICLASS: dict[str, Callable[..., float]] = {
    "multi_log_loss": lambda y, p, **w: sk.log_loss(y, p, labels=range(p.shape[1]), **w),
    "multi_accuracy": lambda y, p, **w: sk.accuracy_score(y, p.argmax(1), **w),
    "macro_f1": lambda y, p, **w: sk.f1_score(y, p.argmax(1), average="macro", **w),
    "macro_roc_auc": lambda y, p, **w: sk.roc_auc_score(y, p, multi_class="ovr", **w),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    for seed in range(60):
        y, p, w = binary(seed)
        mine = metrics.by_name(name)
        assert mine(y, p) == pytest.approx(BINARY[name](y, p), **CLOSE)
        assert mine(y, p, weights=w) == pytest.approx(BINARY[name](y, p, sample_weight=w), **CLOSE)


@pytest.mark.parametrize("name", REGRESSION)
def test_regression(name: str) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 300))
        y = np.round(rng.gamma(1.0, 3.0, n), int(rng.integers(0, 6)))
        p = np.round(rng.gamma(1.0, 3.0, n), 3) + 0.001
        w = rng.integers(1, 5, n).astype(float)
        mine = metrics.by_name(name)
        assert mine(y, p) == pytest.approx(REGRESSION[name](y, p), **CLOSE)
        theirs = REGRESSION[name](y, p, sample_weight=w)
        assert mine(y, p, weights=w) == pytest.approx(theirs, **CLOSE)


def test_mape_of_a_label_of_zero_is_scikit_learns_and_no_usual_figure() -> None:
    y, p = [0.0, 2.0], [0.5, 1.0]
    assert metrics.mape(y, p) == pytest.approx(sk.mean_absolute_percentage_error(y, p), **CLOSE)
    assert metrics.evaluate(y, p, kind="regression")["mape"] is None
    assert metrics.evaluate([1.0, 2.0], p, kind="regression")["mape"] == 0.5


def test_median_and_bias() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 7, 40):
        y, p = rng.random(n), rng.random(n)
        assert metrics.median_ae(y, p) == pytest.approx(sk.median_absolute_error(y, p), **CLOSE)
        w = rng.integers(1, 4, n)
        repeated = np.median(np.repeat(np.abs(y - p), w))
        assert metrics.median_ae(y, p, weights=w) == pytest.approx(repeated, **CLOSE)
        assert metrics.bias(y, p) == pytest.approx(abs(p.mean() - y.mean()), **CLOSE)


@pytest.mark.parametrize("name", MULTICLASS)
def test_multiclass(name: str) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        k = int(rng.integers(3, 6))
        y = np.r_[np.arange(k), rng.integers(0, k, 120)].astype(float)
        p = np.round(rng.dirichlet(np.ones(k), y.size), 6)
        p /= p.sum(axis=1, keepdims=True)
        w = rng.integers(1, 4, y.size).astype(float)
        mine = metrics.by_name(name)
        assert mine(y, p) == pytest.approx(MULTICLASS[name](y, p), **CLOSE)
        theirs = MULTICLASS[name](y, p, sample_weight=w)
        assert mine(y, p, weights=w) == pytest.approx(theirs, **CLOSE)


@pytest.mark.parametrize("k", [None, 1, 3, 10])
def test_ndcg(k: int | None) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        groups = rng.integers(0, 12, 150)
        y = rng.integers(0, 4, 150).astype(float)
        p = np.round(rng.random(150), 1)  # ties within groups
        theirs = []
        for one in np.unique(groups):
            mine, score = y[groups == one], p[groups == one]
            alone = 1.0 if mine[0] else 0.0  # scikit-learn has no figure for a single row
            theirs.append(sk.ndcg_score([mine], [score], k=k) if mine.size > 1 else alone)
        mine = metrics.ndcg(k)(y, p, groups=groups)
        assert mine == pytest.approx(np.mean(theirs), **CLOSE)


def test_mean_reciprocal_rank_by_hand() -> None:
    groups = ["a", "a", "a", "b", "b", "c"]
    labels, scores = [0, 1, 0, 1, 0, 0], [0.9, 0.5, 0.1, 0.5, 0.5, 0.3]
    mrr = metrics.mean_reciprocal_rank()
    assert mrr(labels, scores, groups=groups) == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)


def test_recall_at_precision_by_hand() -> None:
    y, p = [1, 0, 1, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5]
    assert metrics.recall_at_precision(0.75)(y, p) == 1.0
    assert metrics.recall_at_precision(0.8)(y, p) == pytest.approx(1 / 3)
    assert math.isnan(metrics.recall_at_precision(0.8)([0, 0], [0.1, 0.2]))
