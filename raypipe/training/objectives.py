"""What XGBoost can be asked to learn: what each objective takes for labels, and which metrics fit.

Names are XGBoost's own. A metric that would be computed but means nothing for an objective (an
accuracy of a regression, say) is refused before any work, since XGBoost itself says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from raypipe.core.errors import ConfigError
from raypipe.core.near import near

if TYPE_CHECKING:
    from collections.abc import Iterable

Task = Literal["binary", "multiclass", "regression", "ranking"]


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective of XGBoost.

    Attributes:
        name: XGBoost's name.
        task: the kind of problem.
        metric: what is evaluated after each round unless other metrics are named.
        labels: what a label must be, in words.
        low: the least label, if there is one.
        high: the greatest label, if there is one.
        whole: whether labels are whole numbers.
        above: whether the least label itself is not one.
        also: metrics that fit beside those of the task.
        only: metrics that fit in place of those of the task.
    """

    name: str
    task: Task
    metric: str
    labels: str = "a finite number"
    low: float | None = None
    high: float | None = None
    whole: bool = False
    above: bool = False
    also: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """What fits it."""
        return self.only or (*_TASK_METRICS[self.task], *self.also)

    def refuses(self, low: float, high: float, whole: bool) -> bool:
        """Whether labels with these ends, whole or not, cannot be learned."""
        under = self.low is not None and (low <= self.low if self.above else low < self.low)
        over = self.high is not None and high > self.high
        return under or over or (self.whole and not whole)


_TASK_METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("logloss", "error", "auc", "aucpr", "rmse", "mae"),
    "multiclass": ("mlogloss", "merror", "auc"),
    "regression": ("rmse", "rmsle", "mae", "mape", "mphe"),
    "ranking": ("ndcg", "map", "pre", "auc", "aucpr"),
}
_COUNTS: dict[str, Any] = {"labels": "0 or more", "low": 0.0}
_GRADES: dict[str, Any] = {"labels": "a whole number of 0 or more", "low": 0.0, "whole": True}
_FROM_0_TO_1: dict[str, Any] = {"labels": "between 0 and 1", "low": 0.0, "high": 1.0}
_TWO: dict[str, Any] = {"labels": "0, 1 or null", "low": 0.0, "high": 1.0, "whole": True}
_CLASSES: dict[str, Any] = {
    "labels": "a class: 0, 1, 2 and so on",
    "low": 0.0,
    "whole": True,
}
TASK_LABELS: dict[Task, dict[str, Any]] = {
    "binary": _TWO,
    "multiclass": _CLASSES,
    "regression": {},
    "ranking": _GRADES,
}
"""What a label must be, where nothing but the kind of problem is known."""

OBJECTIVES: dict[str, Objective] = {
    one.name: one
    for one in (
        Objective("binary:logistic", "binary", "logloss", **_TWO),
        # its scores are no probabilities, yet XGBoost computes losses and errors as if they were
        Objective("binary:logitraw", "binary", "auc", only=("auc", "aucpr"), **_TWO),
        Objective("binary:hinge", "binary", "error", only=("error", "auc", "aucpr"), **_TWO),
        Objective("multi:softprob", "multiclass", "mlogloss", **_CLASSES),
        Objective("multi:softmax", "multiclass", "merror", **_CLASSES),
        Objective("reg:squarederror", "regression", "rmse"),
        Objective("reg:absoluteerror", "regression", "mae"),
        Objective("reg:pseudohubererror", "regression", "mphe"),
        Objective(
            "reg:squaredlogerror", "regression", "rmsle", labels="above -1", low=-1.0, above=True
        ),
        Objective("reg:logistic", "regression", "rmse", also=("logloss",), **_FROM_0_TO_1),
        Objective("reg:quantileerror", "regression", "quantile", also=("quantile",)),
        Objective(
            "reg:gamma",
            "regression",
            "gamma-nloglik",
            labels="above 0",
            low=0.0,
            above=True,
            also=("gamma-nloglik", "gamma-deviance"),
        ),
        Objective(
            "reg:tweedie", "regression", "tweedie-nloglik@1.5", also=("tweedie-nloglik",), **_COUNTS
        ),
        Objective(
            "count:poisson", "regression", "poisson-nloglik", also=("poisson-nloglik",), **_COUNTS
        ),
        Objective(
            "survival:cox",
            "regression",
            "cox-nloglik",
            labels="a time, negative where censored",
            also=("cox-nloglik",),
        ),
        Objective("rank:ndcg", "ranking", "ndcg", **_GRADES),
        Objective("rank:map", "ranking", "map", **_TWO),
        Objective("rank:pairwise", "ranking", "ndcg", **_GRADES),
    )
}
_METRICS = {
    *(name for names in _TASK_METRICS.values() for name in names),
    *(name for one in OBJECTIVES.values() for name in one.also),
}
LOWER = _METRICS - {"auc", "aucpr", "ndcg", "map", "pre"}
"""Metrics of which less is better; of the others more is."""


def objective_named(name: object) -> Objective:
    """The objective of this name.

    Raises:
        ConfigError: raypipe does not know it.
    """
    known = OBJECTIVES.get(name) if isinstance(name, str) else None
    if known is None:
        raise ConfigError(
            "unsupported objective",
            name,
            nearest(str(name), OBJECTIVES),
            "objective",
        )
    return known


def check_metric(metric: object, objective: Objective) -> str:
    """The metric itself, if it fits the objective.

    Raises:
        ConfigError: XGBoost has no such metric, or it says nothing about such labels.
    """
    base = plain(metric) if isinstance(metric, str) else None
    if base not in _METRICS:
        raise ConfigError(
            "XGBoost has no such metric", metric, nearest(str(metric), _METRICS), "eval_metric"
        )
    fits = objective.metrics
    if base not in fits:
        raise ConfigError(
            f"the metric does not suit {objective.name}",
            metric,
            f"Use one of: {', '.join(fits)}.",
            "eval_metric",
        )
    return str(metric)


def plain(metric: str) -> str:
    """A metric without its parameters: ``error`` for ``error@0.3``, ``ndcg`` for ``ndcg@5-``."""
    return metric.rstrip("-").partition("@")[0]


def nearest(name: str, known: Iterable[str]) -> str:
    """What to do about an unknown name: the nearest, or all that there are."""
    names = sorted(known)
    return near(name, names, most=1) or f"Use one of: {', '.join(names)}."
