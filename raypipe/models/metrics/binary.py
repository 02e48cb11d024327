"""Figures for a label of two classes, 0 and 1, and scores that are probabilities of 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raypipe.core.errors import ConfigError
from raypipe.models.metrics.base import Metric, mean

if TYPE_CHECKING:
    from raypipe.models.metrics.base import Floats


def _roc_auc(y: Floats, p: Floats, w: Floats) -> float:
    positive = y > 0.5
    up, down = np.where(positive, w, 0.0), np.where(positive, 0.0, w)
    if not up.any() or not down.any():
        return float("nan")
    # the Mann-Whitney statistic; pairs of equal scores count as half
    _, inverse = np.unique(p, return_inverse=True)
    wins, losses = np.bincount(inverse, up), np.bincount(inverse, down)
    below = np.cumsum(losses) - losses
    return float((wins * (below + losses / 2.0)).sum() / (up.sum() * down.sum()))


def _average_precision(y: Floats, p: Floats, w: Floats) -> float:
    if not (y > 0.5).any():
        return float("nan")
    order = np.argsort(-p, kind="stable")
    scores, weight = p[order], w[order]
    hits, seen = np.cumsum(y[order] * weight), np.cumsum(weight)
    ends = np.append(np.nonzero(np.diff(scores))[0], y.size - 1)  # one step for equal scores
    precision, recall = hits[ends] / seen[ends], hits[ends] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _log_loss(y: Floats, p: Floats, w: Floats) -> float:
    eps = np.finfo(np.float64).eps
    q = np.clip(p, eps, 1 - eps)
    return -mean(y * np.log(q) + (1 - y) * np.log1p(-q), w)


def _brier(y: Floats, p: Floats, w: Floats) -> float:
    return mean((p - y) ** 2, w)


def _accuracy(y: Floats, p: Floats, w: Floats) -> float:
    return mean((p >= 0.5) == (y > 0.5), w)


def _counts(y: Floats, p: Floats, w: Floats) -> tuple[float, float, float, float]:
    """Weights of hits, false alarms, misses and right refusals, at a threshold of 0.5."""
    said, true = p >= 0.5, y > 0.5
    return (
        float(w[said & true].sum()),
        float(w[said & ~true].sum()),
        float(w[~said & true].sum()),
        float(w[~said & ~true].sum()),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _precision(y: Floats, p: Floats, w: Floats) -> float:
    hits, alarms, _, _ = _counts(y, p, w)
    return _share(hits, hits + alarms)


def _recall(y: Floats, p: Floats, w: Floats) -> float:
    hits, _, misses, _ = _counts(y, p, w)
    return _share(hits, hits + misses)


def _f1(y: Floats, p: Floats, w: Floats) -> float:
    hits, alarms, misses, _ = _counts(y, p, w)
    return _share(2 * hits, 2 * hits + alarms + misses)


def _balanced_accuracy(y: Floats, p: Floats, w: Floats) -> float:
    hits, alarms, misses, refused = _counts(y, p, w)
    if not hits + misses or not alarms + refused:
        return float("nan")
    return (hits / (hits + misses) + refused / (alarms + refused)) / 2


def _mcc(y: Floats, p: Floats, w: Floats) -> float:
    hits, alarms, misses, refused = _counts(y, p, w)
    below = (hits + alarms) * (hits + misses) * (refused + alarms) * (refused + misses)
    return (hits * refused - alarms * misses) / np.sqrt(below) if below else 0.0


roc_auc = Metric("roc_auc", True, "binary", _roc_auc)
average_precision = Metric("average_precision", True, "binary", _average_precision)
pr_auc = average_precision
log_loss = Metric("log_loss", False, "binary", _log_loss, probabilities=True)
brier = Metric("brier", False, "binary", _brier, probabilities=True)
accuracy = Metric("accuracy", True, "binary", _accuracy, probabilities=True)
precision = Metric("precision", True, "binary", _precision, probabilities=True)
recall = Metric("recall", True, "binary", _recall, probabilities=True)
f1 = Metric("f1", True, "binary", _f1, probabilities=True)
balanced_accuracy = Metric(
    "balanced_accuracy", True, "binary", _balanced_accuracy, probabilities=True
)
mcc = Metric("mcc", True, "binary", _mcc, probabilities=True)


def recall_at_precision(at_least: float) -> Metric:
    """The largest recall of any threshold whose precision is at least this; 0 if there is none.

    Raises:
        ConfigError: the precision is not in (0, 1].
    """
    if not 0 < at_least <= 1:
        raise ConfigError("a precision must be in (0, 1]", at_least, field="at_least")

    def compute(y: Floats, p: Floats, w: Floats) -> float:
        if not (y > 0.5).any():
            return float("nan")
        order = np.argsort(-p, kind="stable")
        weight = w[order]
        hits, seen = np.cumsum(y[order] * weight), np.cumsum(weight)
        ends = np.append(np.nonzero(np.diff(p[order]))[0], y.size - 1)
        fine = hits[ends] / seen[ends] >= at_least
        return float((hits[ends][fine] / hits[-1]).max(initial=0.0))

    return Metric(f"recall@precision={at_least!r}", True, "binary", compute)


ALL = (
    roc_auc,
    average_precision,
    log_loss,
    brier,
    accuracy,
    precision,
    recall,
    f1,
    balanced_accuracy,
    mcc,
)
