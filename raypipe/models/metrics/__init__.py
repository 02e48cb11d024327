"""Figures of merit, by the names that the field has for them.

Each is a ``Metric``: called with labels and scores of equal length it gives a float, NaN where the
figure is not defined (no rows, or for figures of order a single class). They agree with
scikit-learn's where it has them.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.core.errors import ConfigError
from raypipe.models.metrics import binary, multiclass, ranking, regression
from raypipe.models.metrics.base import Kind, Metric
from raypipe.models.metrics.binary import (
    accuracy,
    average_precision,
    balanced_accuracy,
    brier,
    f1,
    log_loss,
    mcc,
    pr_auc,
    precision,
    recall,
    recall_at_precision,
    roc_auc,
)
from raypipe.models.metrics.multiclass import (
    macro_f1,
    macro_roc_auc,
    multi_accuracy,
    multi_log_loss,
)
from raypipe.models.metrics.ranking import mean_reciprocal_rank, ndcg
from raypipe.models.metrics.regression import (
    bias,
    mae,
    mape,
    median_ae,
    mse,
    pinball,
    poisson_deviance,
    r2,
    rmse,
    rmsle,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ALL",
    "Kind",
    "Metric",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "bias",
    "brier",
    "by_name",
    "evaluate",
    "f1",
    "log_loss",
    "macro_f1",
    "macro_roc_auc",
    "mae",
    "mape",
    "mcc",
    "mean_reciprocal_rank",
    "median_ae",
    "mse",
    "multi_accuracy",
    "multi_log_loss",
    "ndcg",
    "pinball",
    "poisson_deviance",
    "pr_auc",
    "precision",
    "r2",
    "recall",
    "recall_at_precision",
    "rmse",
    "rmsle",
    "roc_auc",
]

ALL: tuple[Metric, ...] = (*binary.ALL, *regression.ALL, *multiclass.ALL, *ranking.ALL)
_BY_NAME = {metric.name: metric for metric in ALL} | {"pr_auc": pr_auc}
_MADE: dict[str, Callable[[str], Metric]] = {
    "ndcg@": lambda text: ndcg(int(text)),
    "pinball@": lambda text: pinball(float(text)),
    "recall@precision=": lambda text: recall_at_precision(float(text)),
}
_USUAL: dict[Kind, tuple[Metric, ...]] = {
    "binary": (roc_auc, average_precision, log_loss, brier, accuracy),
    "regression": (rmse, mae, mape, r2),
    "multiclass": multiclass.ALL,
    "ranking": (ndcg(), ndcg(10), mean_reciprocal_rank()),
}


def by_name(name: str) -> Metric:
    """The metric of this name: ``"rmse"``, ``"ndcg@10"``, ``"pinball@0.9"``, …

    Raises:
        ConfigError: there is none.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    for start, made in _MADE.items():
        if isinstance(name, str) and name.startswith(start):
            try:
                return made(name.removeprefix(start))
            except ValueError:
                break
    near = difflib.get_close_matches(str(name), _BY_NAME, 1)
    act = f"Did you mean {near[0]!r}? " if near else ""
    raise ConfigError("unknown metric", name, f"{act}Use one of: {', '.join(_BY_NAME)}.", "metric")


def evaluate(
    labels: Any, scores: Any, *, kind: Kind = "binary", weights: Any = None, groups: Any = None
) -> dict[str, float | None]:
    """The usual metrics of a kind of label at once.

    Returns:
        Figures by name; ``None`` where one is not defined, so that the result is plain JSON. So is
        ``mape`` with a label of 0: ``mape`` itself gives what scikit-learn gives, a number of about
        1e15 that only says that there is such a label. And so are figures of probabilities where a
        score is none, as margins are: the metrics themselves refuse those.

    Raises:
        ConfigError: as ``Metric``.
    """
    figures = {
        metric.name: float("nan")
        if metric.lacks_probabilities(scores)
        else metric(labels, scores, weights=weights, groups=groups)
        for metric in _USUAL[kind]
    }
    if mape.name in figures and not np.all(np.asarray(labels, dtype=np.float64)):
        figures[mape.name] = float("nan")
    return {name: None if np.isnan(value) else value for name, value in figures.items()}
