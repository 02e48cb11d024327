"""Whether a model has become worse, from labels that come late.

The null hypothesis: however the past went, the expected Brier loss of the next labelled prediction
is at most ``limit`` = validation loss + margin. A bettor who stakes a fraction b on "worse" holds

    Π (1 + b · (loss - limit) / limit),      0 < b < 1

a nonnegative supermartingale under the null (Waudby-Smith and Ramdas, Estimating means of bounded
random variables by betting, 2023). The capital is averaged over a grid of fractions, so nothing is
tuned to the data, and spread over the windows at which the decline may begin (``restarts``).

What validity rests on, plainly:

- Losses lie in [0, 1]: scores and labels outside [0, 1] are refused.
- Labels are awaited for a fixed delay and those that come say nothing about those that do not. If
  bad outcomes are reported sooner, the mean over the labelled is not the mean over all.
- ``limit`` is taken as a fixed number. The validation loss is an estimate; the margin has to cover
  its sampling error (about 2 · standard deviation of the loss / √validation rows).
- Weeks differ. Losses that depend on each other are allowed, but a week that is harder for any
  model violates "at most ``limit``, however the past went" and may be called a decline. It is one,
  in what users get; it need not be one that training cures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import SchemaError
from raypipe.monitoring.restarts import Ledger

_FRACTIONS = tuple(2.0**-k for k in range(1, 9))

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PerformanceFigures:
    """Figures of one window's labelled predictions; None where they have no meaning.

    Args:
        rows: labelled predictions.
        brier: mean squared difference of score and label.
        log_loss: mean log loss in nats, scores kept 1e-15 away from 0 and 1.
        roc_auc: area under the ROC curve; None unless both classes occur.
        positive_share: mean label.
    """

    rows: int
    brier: float | None
    log_loss: float | None
    roc_auc: float | None
    positive_share: float | None


def empty_ledger() -> Ledger:
    """The e-process of the losses before the first label."""
    return Ledger.empty(len(_FRACTIONS))


def bet(ledger: Ledger, losses: FloatArray, limit: float) -> Ledger:
    """The e-process after losses; sums are correctly rounded, so their order cannot matter.

    Args:
        ledger: the log capital of each bet so far.
        losses: losses in [0, 1].
        limit: the largest mean loss under the null hypothesis, above 0.
    """
    excess = (losses - limit) / limit
    return ledger.add([math.fsum(np.log1p(b * excess).tolist()) for b in _FRACTIONS])


def log_evidence(ledger: Ledger) -> float:
    """Natural logarithm of the evidence for "worse than the limit"; 0 at the start."""
    capital = np.logaddexp.reduce(ledger.since().astype(np.float64), axis=1)
    return ledger.log_e(capital - math.log(len(_FRACTIONS)))


def match_labels(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Predictions whose label is known, with it: prediction_id, event_time, score, label.

    A prediction logged twice counts once, as does one labelled twice (the first row of each
    frame). Labels that are null, NaN or outside [0, 1] count as unknown: one bad row must not end
    the watching. Rows are sorted by event time and id.

    Args:
        predictions: rows with prediction_id, event_time and score.
        labels: rows with prediction_id and label.
    """
    known = labels.select("prediction_id", pl.col("label").cast(pl.Float64)).filter(
        pl.col("label").is_between(0.0, 1.0)
    )
    return (
        predictions.select("prediction_id", "event_time", pl.col("score").cast(pl.Float64))
        .unique("prediction_id", keep="first", maintain_order=True)
        .join(known.unique("prediction_id", keep="first", maintain_order=True), on="prediction_id")
        .sort("event_time", "prediction_id")
    )


def in_unit_interval(frame: pl.DataFrame, column: str) -> FloatArray:
    """A column's values as floats.

    Raises:
        SchemaError: a value is null, NaN or outside [0, 1].
    """
    series = frame[column].cast(pl.Float64)
    wrong = series.filter(~series.is_between(0.0, 1.0).fill_null(False) | series.is_nan())
    if len(wrong):
        raise SchemaError(
            f"{column} of a labelled prediction must lie in [0, 1]",
            f"{wrong[0]} (one of {len(wrong)} rows)",
            "Performance is watched for probabilities and labels 0 or 1.",
            column,
        )
    return series.to_numpy()


def brier(scores: FloatArray, labels: FloatArray) -> FloatArray:
    """The squared difference of each score and its label, 0 to 1."""
    result: FloatArray = np.square(scores - labels)
    return result


def measure(scores: FloatArray, labels: FloatArray) -> PerformanceFigures:
    """The figures of labelled predictions."""
    if not len(scores):
        return PerformanceFigures(0, None, None, None, None)
    kept = np.clip(scores, 1e-15, 1 - 1e-15)
    log_loss = -(labels * np.log(kept) + (1 - labels) * np.log1p(-kept))
    return PerformanceFigures(
        len(scores),
        float(brier(scores, labels).mean()),
        float(log_loss.mean()),
        roc_auc(scores, labels),
        float(labels.mean()),
    )


def roc_auc(scores: FloatArray, labels: FloatArray) -> float | None:
    """Area under the ROC curve, ties counted half; a label of 0.5 or more is positive."""
    positive = labels >= 0.5
    wins = int(positive.sum())
    losses = len(labels) - wins
    if not wins or not losses:
        return None
    _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(size) - (size - 1) / 2
    rank_sum = float(mean_rank[place][positive].sum())
    return (rank_sum - wins * (wins + 1) / 2) / (wins * losses)
