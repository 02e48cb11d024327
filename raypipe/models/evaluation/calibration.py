"""Whether a probability of 0.3 comes true in three of ten cases."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.models.metrics import brier

if TYPE_CHECKING:
    from raypipe.models.metrics.base import Floats

_SIZE = 220


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How scores and outcomes go together.

    Attributes:
        frame: a row for each bin that holds scores: ``low``, ``high`` (its ends), ``rows``,
            ``score`` (mean), ``share`` (of label 1), and ``share_low``, ``share_high``, the Wilson
            interval of the share at 95%.
        error: expected calibration error: the mean over rows of their bin's |score - share|.
        largest: the largest |score - share| of a bin.
        slope: of the logistic regression of the label on the score's logit: 1 when calibrated,
            below 1 when scores are too extreme (Cox, Two further applications of a model for binary
            regression, 1958); NaN where it cannot be found.
        intercept: of the same regression: 0 when calibrated.
    """

    frame: pl.DataFrame
    error: float
    largest: float
    slope: float
    intercept: float

    def __repr__(self) -> str:
        return (
            f"Calibration(error={self.error:.4f}, largest={self.largest:.4f}, "
            f"slope={self.slope:.3f}, intercept={self.intercept:.3f}, {self.frame.height} bins)"
        )

    def _repr_html_(self) -> str:
        def at(x: float, y: float) -> str:
            return f"{10 + x * _SIZE:.1f},{10 + (1 - y) * _SIZE:.1f}"

        marks = []
        for one in self.frame.iter_rows(named=True):
            x1, y1 = at(one["score"], one["share_low"]).split(",")
            _, y2 = at(one["score"], one["share_high"]).split(",")
            x, y = at(one["score"], one["share"]).split(",")
            marks.append(f'<line x1="{x1}" x2="{x1}" y1="{y1}" y2="{y2}" stroke="#36c"/>')
            marks.append(f'<circle cx="{x}" cy="{y}" r="3" fill="#36c"/>')
        side = _SIZE + 20
        return (
            f'<svg width="{side}" height="{side}"><polyline points="{at(0, 0)} {at(1, 1)}" '
            f'stroke="#bbb" fill="none"/>{"".join(marks)}</svg><p>{html.escape(repr(self))}</p>'
        )


def calibration(
    labels: Any,
    scores: Any,
    *,
    bins: int = 10,
    cut: Literal["quantile", "uniform"] = "quantile",
) -> Calibration:
    """Scores held against outcomes, bin by bin.

    Args:
        labels: 0 or 1.
        scores: probabilities of 1.
        bins: how many at most; equal scores are never in two bins.
        cut: bins of equal rows ("quantile") or of equal width ("uniform").

    Raises:
        ConfigError: a label is neither 0 nor 1, a score is not in [0, 1], there are no rows, or
            ``bins`` or ``cut`` is not one of those above.
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ConfigError("bins must be a whole number >= 1", bins, field="bins")
    if cut not in ("quantile", "uniform"):
        raise ConfigError("unknown cut", cut, "Use 'quantile' or 'uniform'.", "cut")
    brier(labels, scores)  # checks both, and that scores are probabilities
    y, p = (np.asarray(a, np.float64).ravel() for a in (labels, scores))
    if not y.size:
        raise ConfigError("there are no rows to calibrate on")
    steps = np.linspace(0, 1, bins + 1)
    inner = steps[1:-1] if cut == "uniform" else np.unique(np.quantile(p, steps[1:-1]))
    codes = np.searchsorted(inner, p)  # the same sides as scikit-learn's calibration_curve
    ends = np.concatenate([[0.0], inner, [1.0]])
    rows = np.bincount(codes, minlength=inner.size + 1)
    held = rows > 0
    n = rows[held]
    score = np.bincount(codes, p, minlength=rows.size)[held] / n
    share = np.bincount(codes, y, minlength=rows.size)[held] / n
    low, high = _wilson(share, n)
    gaps = np.abs(score - share)
    slope, intercept = _recalibration(y, p)
    return Calibration(
        frame=pl.DataFrame(
            {
                "low": ends[:-1][held],
                "high": ends[1:][held],
                "rows": n,
                "score": score,
                "share": share,
                "share_low": low,
                "share_high": high,
            }
        ),
        error=float((gaps * n).sum() / n.sum()),
        largest=float(gaps.max()),
        slope=slope,
        intercept=intercept,
    )


def _wilson(share: Floats, n: Any) -> tuple[Floats, Floats]:
    """Wilson, Probable inference, the law of succession, and statistical inference, 1927."""
    z = 1.959963984540054
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def _recalibration(y: Floats, p: Floats) -> tuple[float, float]:
    """Slope and intercept by Newton's method; NaN for one class or a perfect split."""
    eps = 1e-12
    q = np.clip(p, eps, 1 - eps)
    x = np.log(q) - np.log1p(-q)
    if y.min() == y.max() or x.min() == x.max():
        return float("nan"), float("nan")
    slope, intercept = 1.0, 0.0
    for _ in range(50):
        m = 1 / (1 + np.exp(-(slope * x + intercept)))
        w = m * (1 - m)
        gradient = np.array([(x * (y - m)).sum(), (y - m).sum()])
        a, b, c = (w * x * x).sum(), (w * x).sum(), w.sum()
        if a * c - b * b <= 1e-12 * a * c:
            return float("nan"), float("nan")
        step = np.array([c * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]])
        step /= a * c - b * b
        slope, intercept = slope + step[0], intercept + step[1]
        if not np.isfinite([slope, intercept]).all() or abs(slope) > 1e6:
            return float("nan"), float("nan")
        if np.abs(step).max() < 1e-10:
            return float(slope), float(intercept)
    return float("nan"), float("nan")
