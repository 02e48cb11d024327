"""What a metric is: a named figure of merit with a direction, for one kind of label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = npt.NDArray[np.float64]
Kind = Literal["binary", "regression", "multiclass", "ranking"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure of merit.

    Attributes:
        name: as it stands in reports and manifests.
        higher_is_better: the direction in which a candidate improves.
        kind: what the label is. ``binary``: 0 or 1, scores are probabilities of 1. ``regression``:
            finite numbers. ``multiclass``: whole numbers from 0, scores are one probability for
            each class. ``ranking``: relevances >= 0 of rows that compete within a group.
        probabilities: whether scores must lie in [0, 1]. A figure of order takes any finite scores,
            such as margins.
    """

    name: str
    higher_is_better: bool
    kind: Kind
    _compute: Callable[[Floats, Floats, Floats], float] = field(repr=False, compare=False)
    probabilities: bool = field(default=False, repr=False)

    def __call__(
        self, labels: Any, scores: Any, *, weights: Any = None, groups: Any = None
    ) -> float:
        """The figure over all rows; NaN where it is not defined.

        It is not defined without rows (or without weight), and for figures of order with one class.

        Args:
            labels: any array-like of n numbers.
            scores: n numbers; n by classes for a multiclass label.
            weights: n numbers >= 0 that count rows more or less; not for ranking.
            groups: for ranking only: n keys; rows of one key compete with each other.

        Raises:
            ConfigError: what is given is no number, the lengths differ, a label is not of the kind,
                a score is not finite, or is no probability where it must be one, a weight is
                negative, or weights or groups are given to a metric that takes none.
        """
        y = self._numbers(labels, "labels").ravel()
        p = self._numbers(scores, "scores")
        p = p if self.kind == "multiclass" and p.ndim == 2 else p.ravel()
        self._check(y, p, groups is not None, weights is not None)
        if self.kind == "ranking":
            _, codes = np.unique(np.asarray(groups), return_inverse=True)
            if codes.size != y.size:
                raise self._lengths(y.size, "group", codes.size)
            return self._compute(y, p, codes.astype(np.float64)) if y.size else float("nan")
        w = np.ones(y.size) if weights is None else self._numbers(weights, "weights").ravel()
        if w.size != y.size:
            raise self._lengths(y.size, "weight", w.size)
        if w.size and not (np.isfinite(w).all() and w.min() >= 0):
            raise ConfigError(f"{self.name} needs weights >= 0", float(w.min()), field="weights")
        if weights is not None and not w.all():  # a row without weight is not there
            y, p, w = y[w > 0], p[w > 0], w[w > 0]
        return self._compute(y, p, w) if y.size else float("nan")

    def _numbers(self, given: Any, what: str) -> Floats:
        try:
            return np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            kind = getattr(given, "dtype", type(given).__name__)
            raise ConfigError(f"{self.name} needs {what} that are numbers", str(kind)) from None

    def _lengths(self, labels: int, what: str, others: int) -> ConfigError:
        return ConfigError(
            f"{self.name} needs one {what} for each label", f"{labels} labels, {others} {what}s"
        )

    def _check(self, y: Floats, p: Floats, grouped: bool, weighted: bool) -> None:
        if len(p) != y.size:
            raise self._lengths(y.size, "score", len(p))
        if (self.kind == "ranking") != grouped:
            need = "needs" if self.kind == "ranking" else "takes no"
            raise ConfigError(f"{self.name} {need} groups", field="groups")
        if weighted and self.kind == "ranking":
            raise ConfigError(f"{self.name} takes no weights", field="weights")
        if not y.size:
            return
        if self.kind == "multiclass" and p.ndim != 2:
            raise ConfigError(
                f"{self.name} needs a probability for each class", f"an array of shape {p.shape}"
            )
        fine, wanted = _fine_labels(self.kind, y, p)
        if not fine.all():
            raise ConfigError(
                f"{self.name} needs labels {wanted}", float(y[~fine][0]), "Drop unknown labels."
            )
        if not np.isfinite(p).all():
            bad = p[~np.isfinite(p)]
            raise ConfigError(f"{self.name} needs finite scores", float(bad.ravel()[0]))
        if self.lacks_probabilities(p):
            raise ConfigError(
                f"{self.name} needs scores that are probabilities",
                float(p[(p < 0.0) | (p > 1.0)][0]),
                "Pass probabilities, from 0 to 1; a margin m is one by 1 / (1 + exp(-m)).",
                "scores",
            )

    def lacks_probabilities(self, scores: Any) -> bool:
        """Whether it needs probabilities, and one of the scores is none.

        Raises:
            ConfigError: they are no numbers.
        """
        if not self.probabilities:
            return False
        p = self._numbers(scores, "scores")
        return bool(p.size) and bool(p.min() < 0.0 or p.max() > 1.0)

    def better(self, one: float, other: float) -> bool:
        """Whether the first figure is strictly better; NaN is never better."""
        return one > other if self.higher_is_better else one < other

    def __reduce__(self) -> tuple[Any, ...]:
        from raypipe.models.metrics import by_name

        return (by_name, (self.name,))


def _fine_labels(kind: Kind, y: Floats, p: Floats) -> tuple[npt.NDArray[np.bool_], str]:
    if kind == "binary":
        return np.isin(y, (0.0, 1.0)), "0 or 1"
    if kind == "multiclass":
        classes = p.shape[1] if p.ndim == 2 else 0
        return (y >= 0) & (y < classes) & (y == np.floor(y)), f"0 to {classes - 1}"
    if kind == "ranking":
        return np.isfinite(y) & (y >= 0), "that are finite and >= 0"
    return np.isfinite(y), "that are finite"


def mean(values: Floats, weights: Floats) -> float:
    """The weighted mean."""
    return float(np.average(values, weights=weights))
