"""Figures for a label that is a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raypipe.core.errors import ConfigError
from raypipe.models.metrics.base import Metric, mean

if TYPE_CHECKING:
    from raypipe.models.metrics.base import Floats


def _mse(y: Floats, p: Floats, w: Floats) -> float:
    return mean((y - p) ** 2, w)


def _rmse(y: Floats, p: Floats, w: Floats) -> float:
    return float(np.sqrt(_mse(y, p, w)))


def _mae(y: Floats, p: Floats, w: Floats) -> float:
    return mean(np.abs(y - p), w)


def _mape(y: Floats, p: Floats, w: Floats) -> float:
    # a label of zero would be a division by zero: the smallest step stands in, as in scikit-learn;
    # ``evaluate`` leaves such a figure out
    return mean(np.abs(y - p) / np.maximum(np.abs(y), np.finfo(np.float64).eps), w)


def _rmsle(y: Floats, p: Floats, w: Floats) -> float:
    if min(y.min(), p.min()) <= -1:
        return float("nan")
    return float(np.sqrt(mean((np.log1p(y) - np.log1p(p)) ** 2, w)))


def _r2(y: Floats, p: Floats, w: Floats) -> float:
    if y.size < 2:
        return float("nan")
    rest, all_ = (w * (y - p) ** 2).sum(), (w * (y - mean(y, w)) ** 2).sum()
    if not all_:
        return float("nan") if rest else 1.0
    return float(1.0 - rest / all_)


def _bias(y: Floats, p: Floats, w: Floats) -> float:
    return abs(mean(p - y, w))


def _median_ae(y: Floats, p: Floats, w: Floats) -> float:
    errors = np.abs(y - p)
    if (w == w[0]).all():
        return float(np.median(errors))
    order = np.argsort(errors, kind="stable")
    upto = np.cumsum(w[order])
    errors, half = errors[order], upto[-1] / 2
    low = int(np.searchsorted(upto, half, side="left"))
    high = int(np.searchsorted(upto, half, side="right"))
    return float((errors[low] + errors[min(high, y.size - 1)]) / 2)


def _poisson_deviance(y: Floats, p: Floats, w: Floats) -> float:
    if y.min() < 0 or p.min() <= 0:
        return float("nan")
    logs = np.zeros_like(y)
    np.log(y / p, out=logs, where=y > 0)
    return mean(2 * (y * logs - y + p), w)


mse = Metric("mse", False, "regression", _mse)
rmse = Metric("rmse", False, "regression", _rmse)
mae = Metric("mae", False, "regression", _mae)
mape = Metric("mape", False, "regression", _mape)
rmsle = Metric("rmsle", False, "regression", _rmsle)
r2 = Metric("r2", True, "regression", _r2)
bias = Metric("bias", False, "regression", _bias)
median_ae = Metric("median_ae", False, "regression", _median_ae)
poisson_deviance = Metric("poisson_deviance", False, "regression", _poisson_deviance)


def pinball(share: float) -> Metric:
    """The quantile (pinball) loss of a prediction of this quantile.

    Raises:
        ConfigError: the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError("a quantile must be between 0 and 1", share, field="share")

    def compute(y: Floats, p: Floats, w: Floats) -> float:
        over = y - p
        return mean(np.maximum(share * over, (share - 1) * over), w)

    return Metric(f"pinball@{share!r}", False, "regression", compute)


ALL = (mse, rmse, mae, mape, rmsle, r2, bias, median_ae, poisson_deviance)
