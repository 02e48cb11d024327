"""Figures for a label of several classes, 0, 1, 2, …, and one probability for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raypipe.models.metrics import binary
from raypipe.models.metrics.base import Metric, mean

if TYPE_CHECKING:
    from raypipe.models.metrics.base import Floats


def _log_loss(y: Floats, p: Floats, w: Floats) -> float:
    eps = np.finfo(np.float64).eps
    q = np.clip(p, eps, 1 - eps)
    own = np.take_along_axis(q, y.astype(np.int64)[:, None], axis=1)[:, 0]
    return -mean(np.log(own), w)


def _accuracy(y: Floats, p: Floats, w: Floats) -> float:
    return mean(p.argmax(axis=1) == y, w)


def _macro_f1(y: Floats, p: Floats, w: Floats) -> float:
    said = p.argmax(axis=1)
    figures = []
    for one in np.union1d(y, said):
        hits = w[(said == one) & (y == one)].sum()
        below = w[said == one].sum() + w[y == one].sum()
        figures.append(2 * hits / below)
    return float(np.mean(figures))


def _macro_roc_auc(y: Floats, p: Floats, w: Floats) -> float:
    """Each class against the rest, all classes alike."""
    one_against_rest = [
        binary.roc_auc((y == one).astype(np.float64), p[:, one], weights=w)
        for one in range(p.shape[1])
    ]
    return float(np.mean(one_against_rest))


multi_log_loss = Metric("multi_log_loss", False, "multiclass", _log_loss, probabilities=True)
multi_accuracy = Metric("multi_accuracy", True, "multiclass", _accuracy)
macro_f1 = Metric("macro_f1", True, "multiclass", _macro_f1)
macro_roc_auc = Metric("macro_roc_auc", True, "multiclass", _macro_roc_auc)

ALL = (multi_log_loss, multi_accuracy, macro_f1, macro_roc_auc)
