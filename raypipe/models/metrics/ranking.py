"""Figures for rows that compete within a group: which of them come first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from raypipe.core.errors import ConfigError
from raypipe.models.metrics.base import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raypipe.models.metrics.base import Floats


def ndcg(k: int | None = None) -> Metric:
    """Normalised discounted cumulative gain of the first ``k`` rows of a group, mean over groups.

    The gain of a row is its relevance, as in scikit-learn (XGBoost's own ``ndcg`` takes
    2^relevance - 1). Rows of equal score share their gains. A group without relevant rows counts
    as 0. Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.

    Raises:
        ConfigError: ``k`` is not a whole number above 0.
    """

    def one(y: Floats, p: Floats) -> float:
        discount = 1.0 / np.log2(np.arange(y.size) + 2.0)
        if k is not None:
            discount[k:] = 0.0
        best = float((np.sort(y)[::-1] * discount).sum())
        if not best:
            return 0.0
        _, place, counts = np.unique(-p, return_inverse=True, return_counts=True)
        gains = np.bincount(place, y) / counts
        upto = np.cumsum(discount)[np.cumsum(counts) - 1]
        return float((gains * np.diff(upto, prepend=0.0)).sum()) / best

    return Metric(_name("ndcg", k), True, "ranking", _over_groups(one))


def mean_reciprocal_rank() -> Metric:
    """One over the rank of the first relevant row, mean over groups; 0 for a group without one.

    Among rows of equal score a relevant one stands last: ties are never in favour.
    """

    def one(y: Floats, p: Floats) -> float:
        if not (y > 0).any():
            return 0.0
        top = p[y > 0].max()
        before = (p > top).sum() + ((p == top) & (y <= 0)).sum()
        return 1.0 / float(before + 1)

    return Metric("mrr", True, "ranking", _over_groups(one))


def _name(name: str, k: int | None) -> str:
    if k is None:
        return name
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError(f"{name} needs a whole number k >= 1", k, field="k")
    return f"{name}@{k}"


def _over_groups(
    one: Callable[[Floats, Floats], float],
) -> Callable[[Floats, Floats, Floats], float]:
    def compute(y: Floats, p: Floats, codes: Floats) -> float:
        return float(np.mean([one(y[rows], p[rows]) for rows in _rows(codes)]))

    return compute


def _rows(codes: Floats) -> Iterator[npt.NDArray[np.int64]]:
    order = np.argsort(codes, kind="stable")
    yield from np.split(order, np.nonzero(np.diff(codes[order]))[0] + 1)


ALL = (ndcg(), mean_reciprocal_rank())
