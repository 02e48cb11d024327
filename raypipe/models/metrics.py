"""Figures of merit for scores of a binary label.

Each is a ``Metric``: called with labels and scores of equal length it gives a float, NaN where the
figure is not defined (no rows, or for ranking figures a single class).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure of merit.

    Attributes:
        name: as it stands in reports and manifests.
        higher_is_better: the direction in which a candidate improves.
    """

    name: str
    higher_is_better: bool
    _compute: Callable[[Floats, Floats], float] = field(repr=False, compare=False)

    def __call__(self, labels: Any, scores: Any) -> float:
        """The figure over all rows.

        Args:
            labels: 0.0 or 1.0, any array-like of n values.
            scores: probabilities of the label 1, n values.

        Raises:
            ConfigError: the lengths differ, or a label is neither 0 nor 1.
        """
        y = np.asarray(labels, dtype=np.float64).ravel()
        p = np.asarray(scores, dtype=np.float64).ravel()
        if y.shape != p.shape:
            raise ConfigError(
                f"{self.name} needs one score for each label", f"{y.size} labels, {p.size} scores"
            )
        if not np.isin(y, (0.0, 1.0)).all():
            bad = y[~np.isin(y, (0.0, 1.0))][0]
            raise ConfigError(
                f"{self.name} needs labels 0 or 1", float(bad), "Drop unknown labels."
            )
        return self._compute(y, p) if y.size else float("nan")

    def better(self, one: float, other: float) -> bool:
        """Whether the first figure is strictly better; NaN is never better."""
        return one > other if self.higher_is_better else one < other

    def __reduce__(self) -> tuple[Any, ...]:
        return (by_name, (self.name,))


def _roc_auc(y: Floats, p: Floats) -> float:
    positive = y > 0.5
    n1 = int(positive.sum())
    n0 = y.size - n1
    if n1 == 0 or n0 == 0:
        return float("nan")
    # the Mann-Whitney statistic; equal scores share their mean rank
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2.0
    return float((mean_rank[inverse][positive].sum() - n1 * (n1 + 1) / 2.0) / (n1 * n0))


def _average_precision(y: Floats, p: Floats) -> float:
    if not (y > 0.5).any():
        return float("nan")
    order = np.argsort(-p, kind="stable")
    sorted_p, hits = p[order], np.cumsum(y[order])
    ends = np.append(np.nonzero(np.diff(sorted_p))[0], y.size - 1)  # one step for equal scores
    precision = hits[ends] / (ends + 1.0)
    recall = hits[ends] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _log_loss(y: Floats, p: Floats) -> float:
    eps = np.finfo(np.float64).eps
    q = np.clip(p, eps, 1 - eps)
    return float(-np.mean(y * np.log(q) + (1 - y) * np.log1p(-q)))


def _brier(y: Floats, p: Floats) -> float:
    return float(np.mean((p - y) ** 2))


def _accuracy(y: Floats, p: Floats) -> float:
    return float(np.mean((p >= 0.5) == (y > 0.5)))


roc_auc = Metric("roc_auc", True, _roc_auc)
average_precision = Metric("average_precision", True, _average_precision)
log_loss = Metric("log_loss", False, _log_loss)
brier = Metric("brier", False, _brier)
accuracy = Metric("accuracy", True, _accuracy)

ALL: tuple[Metric, ...] = (roc_auc, average_precision, log_loss, brier, accuracy)


def by_name(name: str) -> Metric:
    """The metric of this name.

    Raises:
        ConfigError: there is none.
    """
    for metric in ALL:
        if metric.name == name:
            return metric
    raise ConfigError("unknown metric", name, f"Use one of: {', '.join(m.name for m in ALL)}.")


def evaluate(labels: Any, scores: Any) -> dict[str, float | None]:
    """All metrics at once; ``None`` where one is not defined, so that the result is plain JSON."""
    figures = {metric.name: metric(labels, scores) for metric in ALL}
    return {name: None if np.isnan(value) else value for name, value in figures.items()}
