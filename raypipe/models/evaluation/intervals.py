"""Bootstrap intervals of a figure, and of the difference between two models on the same rows.

The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13):
rows are drawn anew with replacement, the figure is taken of each draw, and the interval holds the
middle share of the figures. With ``clusters``, whole clusters are drawn (Field and Welsh,
Bootstrapping clustered data, 2007): rows of one customer or one day say much the same, and an
interval that takes them for independent is too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raypipe.core.errors import ConfigError
from raypipe.models.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_LEAST = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A figure with the ends between which it lies.

    Attributes:
        metric: its name; for a difference, with ``" difference"``.
        value: the figure over all rows.
        low: lower end; NaN where the figure is not defined in too many draws.
        high: upper end.
        level: the share of draws between the ends.
        rows: rows, or clusters, that were drawn from.
        resamples: draws.
        undefined: draws in which the figure was not defined; they are left out.
    """

    metric: str
    value: float
    low: float
    high: float
    level: float
    rows: int
    resamples: int
    undefined: int = 0

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        share = f"{self.level:.0%}"
        return f"{self.metric} {self.value:.4f} ({share}: {self.low:.4f} to {self.high:.4f})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; what is not defined is ``None``."""
        names = ("value", "low", "high")
        figures = {name: getattr(self, name) for name in names}
        return {
            "metric": self.metric,
            **{n: v if math.isfinite(v) else None for n, v in figures.items()},
            "level": self.level,
            "rows": self.rows,
            "resamples": self.resamples,
        }


def interval(
    metric: Metric,
    labels: Any,
    scores: Any,
    *,
    weights: Any = None,
    groups: Any = None,
    clusters: Any = None,
    level: float = 0.95,
    resamples: int = 1_000,
    seed: int = 0,
) -> Interval:
    """The figure with a bootstrap interval; the same seed gives the same bits.

    Args:
        metric: what to take; ranking metrics draw whole groups.
        labels: as the metric takes them.
        scores: as the metric takes them.
        weights: numbers >= 0 that count rows more or less, as the metric takes them; a row is drawn
            with its weight.
        groups: for ranking metrics.
        clusters: keys of rows that are drawn together.
        level: the share that the interval holds, between 0 and 1.
        resamples: draws, 100 at least.
        seed: of the draws.

    Raises:
        ConfigError: a value is out of its range, or as ``Metric``.
    """
    check_metric(metric)
    value = metric(labels, scores, weights=weights, groups=groups)
    w = as_weights(weights)
    y, p = np.asarray(labels, np.float64).ravel(), np.asarray(scores, np.float64)
    keys = groups if metric.kind == "ranking" else clusters

    def figure(rows: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> float:
        drawn = places if metric.kind == "ranking" else None
        return metric(y[rows], p[rows], weights=None if w is None else w[rows], groups=drawn)

    return _interval(metric.name, value, y.size, keys, figure, level, resamples, seed)


def compare(
    metric: Metric,
    labels: Any,
    scores: Any,
    others: Any,
    *,
    weights: Any = None,
    groups: Any = None,
    clusters: Any = None,
    level: float = 0.95,
    resamples: int = 1_000,
    seed: int = 0,
) -> Interval:
    """By how much one model is better than another, on the same rows, with a bootstrap interval.

    Both are judged on the same draws, so what makes rows hard for both cancels out. The difference
    is positive where ``scores`` are better, whatever the metric's direction.

    Args:
        metric: what to take.
        labels: as the metric takes them.
        scores: of one model.
        others: of the other.
        weights: numbers >= 0 that count rows more or less, as the metric takes them; a row is drawn
            with its weight.
        groups: for ranking metrics.
        clusters: keys of rows that are drawn together.
        level: the share that the interval holds, between 0 and 1.
        resamples: draws, 100 at least.
        seed: of the draws.

    Raises:
        ConfigError: a value is out of its range, or as ``Metric``.
    """
    check_metric(metric)
    sign = 1.0 if metric.higher_is_better else -1.0
    one, other = (metric(labels, s, weights=weights, groups=groups) for s in (scores, others))
    value = sign * (one - other)
    w = as_weights(weights)
    y = np.asarray(labels, np.float64).ravel()
    p, q = np.asarray(scores, np.float64), np.asarray(others, np.float64)
    keys = groups if metric.kind == "ranking" else clusters

    def figure(rows: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> float:
        drawn = places if metric.kind == "ranking" else None
        counts = None if w is None else w[rows]
        one, other = (metric(y[rows], s[rows], weights=counts, groups=drawn) for s in (p, q))
        return sign * (one - other)

    name = f"{metric.name} difference"
    return _interval(name, value, y.size, keys, figure, level, resamples, seed)


def as_weights(given: Any) -> npt.NDArray[np.float64] | None:
    """Weights of rows that can be picked by place; None where each counts once."""
    return None if given is None else np.asarray(given, np.float64).ravel()


def check_metric(metric: object) -> None:
    """Refuses what is no metric, such as a name.

    Raises:
        ConfigError: it is none; it says what to pass.
    """
    if not isinstance(metric, Metric):
        act = "Pass one of rp.metrics, such as rp.metrics.roc_auc."
        raise ConfigError("this is not a metric", repr(metric)[:80], act, "metric")


def check_draws(level: float, resamples: int, seed: int) -> None:
    """Refuses what no interval can be drawn by.

    Raises:
        ConfigError: the level is no share, or the draws or their seed no such whole number.
    """
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise ConfigError("level must be between 0 and 1", level, field="level")
    for name, value, least in (("resamples", resamples, _LEAST), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} must be a whole number >= {least}", value, field=name)


def _interval(
    name: str,
    value: float,
    rows: int,
    keys: Any,
    figure: Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], float],
    level: float,
    resamples: int,
    seed: int,
) -> Interval:
    check_draws(level, resamples, seed)
    if keys is not None and len(keys) != rows:
        raise ConfigError("there must be one key for each row", f"{len(keys)} for {rows} rows")
    draws = _draws(rows, keys, resamples, np.random.default_rng(seed))
    figures = np.array([figure(*draw) for draw in draws] if rows else [], np.float64)
    known = figures[~np.isnan(figures)]
    low = high = math.nan
    if 2 * known.size >= resamples:
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(
        metric=name,
        value=value,
        low=low,
        high=high,
        level=level,
        rows=rows if keys is None else len(np.unique(np.asarray(keys))),
        resamples=resamples,
        undefined=int(figures.size - known.size),
    )


def _draws(
    rows: int, keys: Any, resamples: int, rng: np.random.Generator
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Row numbers of each draw, and for each of them the place in the draw of its cluster: a
    cluster that is drawn twice competes as two.
    """
    if keys is None:
        for _ in range(resamples):
            # in their order, so that figures that sort find long runs
            drawn = np.sort(rng.integers(0, rows, rows))
            yield drawn, drawn
        return
    _, codes = np.unique(np.asarray(keys), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    for _ in range(resamples):
        drawn = rng.integers(0, sizes.size, sizes.size)
        places = np.repeat(np.arange(drawn.size), sizes[drawn])
        within = np.arange(places.size) - np.repeat(
            np.cumsum(sizes[drawn]) - sizes[drawn], sizes[drawn]
        )
        yield order[np.repeat(starts[drawn], sizes[drawn]) + within], places
