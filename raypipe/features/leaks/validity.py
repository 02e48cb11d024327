"""How well one column alone tells the label, with a bound that holds for any distribution. Pure.

A quarter of the rows teaches how the label goes with the column (its mean in each bin); the others
judge. So a column of any kind is judged as a score, and chance cannot flatter it: the figure is a
U-statistic of rows that the score has not seen, with values between 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BINS = 64
_TOP = 10_000
"""Categories that are told apart; all others are one."""

_TAUGHT = 4
"""Every so manyeth row teaches."""


@dataclass(frozen=True, slots=True)
class Validity:
    """How well a column tells the label.

    Attributes:
        value: the share of pairs of rows with different labels that it puts in the right order,
            of ties a half: for two classes the ROC AUC.
        bound: what that is in truth at least, but for the chance that was granted.
        rows: the rows that judged.
        pairs: how many independent pairs they are worth.
    """

    value: float
    bound: float
    rows: int
    pairs: int


def validity(column: pl.Series, label: Floats, chance: float) -> Validity | None:
    """The validity of a column for a label of numbers; of two distinct ones, for their order.

    Args:
        column: numbers, booleans, strings, times; null and NaN are a bin of their own.
        label: finite. Of more than two distinct values only pairs with different ones count.
        chance: that the bound is too high, at most.

    Returns:
        None when one of the shares of rows has one label only.
    """
    teaches = np.arange(len(label)) % _TAUGHT == 0
    codes = binned(column, teaches)
    if len(np.unique(label[teaches])) < 2 or len(np.unique(label[~teaches])) < 2:
        return None
    count = int(codes.max()) + 1
    rows = np.bincount(codes[teaches], minlength=count)
    sums = np.bincount(codes[teaches], weights=label[teaches], minlength=count)
    mean = float(label[teaches].mean())
    score = ((sums + mean) / (rows + 1))[codes[~teaches]]
    truth = label[~teaches]
    distinct = np.unique(truth)
    if len(distinct) == 2:
        high = truth == distinct[1]
        value, pairs = _auc(score, high), int(min(high.sum(), (~high).sum()))
    else:
        value, untied = _concordance(score, truth)
        pairs = int(len(truth) // 2 * untied)
    return Validity(value, at_least(value, pairs, chance), len(truth), pairs)


def at_least(value: float, pairs: int, chance: float) -> float:
    """What the mean of a U-statistic between 0 and 1 surely is at least.

    Hoeffding (1963), section 5: a U-statistic is a mean of means of ``pairs`` independent terms,
    so the Chernoff bound of these, ``exp(-pairs * KL(value, mean))``, holds for it.

    Args:
        value: the figure.
        pairs: independent terms.
        chance: that the mean is below the answer, at most.
    """
    budget = math.log(1 / chance) / max(pairs, 1)
    low, high = 0.0, value
    for _ in range(60):
        middle = (low + high) / 2
        if _kl(value, middle) > budget:
            low = middle
        else:
            high = middle
    return low


def pairs_needed(bound: float, chance: float) -> int:
    """How many independent pairs it takes to tell a perfect column from one at the bound."""
    return math.ceil(math.log(1 / chance) / -math.log(bound))


def binned(column: pl.Series, teaches: NDArray[np.bool_]) -> Ints:
    """A small whole number for each value, by what the rows that teach hold; 0 is missing."""
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype.is_float():
        column = column.fill_nan(None)
    taught = column.filter(pl.Series(teaches)).drop_nulls()
    if not column.dtype.is_numeric() or taught.n_unique() <= BINS:
        counts = taught.alias("#value").value_counts()
        top = counts.sort("count", "#value", descending=[True, False])["#value"].head(_TOP)
        codes = {"#value": top, "#code": pl.Series(range(2, len(top) + 2), dtype=pl.Int64)}
        joined = pl.DataFrame({"#value": column}).join(
            pl.DataFrame(codes), on="#value", how="left", maintain_order="left"
        )
        found = joined["#code"].fill_null(1)
        return np.where(column.is_null().to_numpy(), 0, found.to_numpy())
    values = column.cast(pl.Float64).fill_null(math.nan).to_numpy()
    points = taught.cast(pl.Float64).sort().to_numpy()
    edges = np.unique(points[[len(points) * k // BINS for k in range(1, BINS)]])
    missing = np.isnan(values)
    return np.where(missing, 0, 1 + np.searchsorted(edges, values, side="right"))


def _kl(p: float, q: float) -> float:
    if q <= 0:
        return math.inf if p > 0 else 0.0
    tail = (1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0
    return (p * math.log(p / q) if p > 0 else 0.0) + tail


def _auc(score: Floats, high: NDArray[np.bool_]) -> float:
    _, at = np.unique(score, return_inverse=True)
    above = np.bincount(at[high], minlength=at.max() + 1)
    below = np.bincount(at[~high], minlength=at.max() + 1)
    under = np.cumsum(below) - below
    return float((above * (under + below / 2)).sum() / (above.sum() * below.sum()))


def _concordance(score: Floats, truth: Floats) -> tuple[float, float]:
    """Of pairs with different labels, the share in the score's order; ties of it are a half.

    And the share of pairs with different labels.
    """
    order = np.argsort(truth, kind="stable")
    truth = truth[order]
    levels = np.unique(score)
    if len(levels) > BINS:  # fewer, of about equal numbers of rows: what falls together is a tie
        levels = np.unique(np.quantile(score, np.arange(1, BINS) / BINS, method="lower"))
    bins = np.searchsorted(levels, score[order], side="right")
    first = np.searchsorted(truth, truth)  # rows before it have a lower label
    count = int(bins.max()) + 1
    seen = np.zeros((len(truth) + 1, count), np.int32)
    seen[np.arange(1, len(truth) + 1), bins] = 1
    np.cumsum(seen, axis=0, out=seen)
    # By row and bin: the earlier rows in that bin or a lower one.
    lower = np.cumsum(seen, axis=1, dtype=np.int32)
    ties = seen[first, bins]
    right = lower[first, bins] - ties
    untied = first.sum() / (len(truth) * (len(truth) - 1) / 2)
    return float((right + ties / 2).sum() / first.sum()), float(untied)
