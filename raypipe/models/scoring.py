"""Labels and scores of rows that have both, one part in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raypipe.core.scan import Scan
    from raypipe.models.bundle import ModelBundle

Floats = npt.NDArray[np.float64]


def labelled_scores(bundle: ModelBundle, data: Scan | pl.DataFrame) -> tuple[Floats, Floats]:
    """Labels and scores of the rows whose label is known, in their order.

    Args:
        bundle: scores the rows; its recipe makes the label.
        data: a frame, or a scan, which is read one part after the other.

    Raises:
        RecipeError: the rows lack an input or the label.
    """
    labels, scores, _ = _scored(bundle, data, ())
    return labels, scores


def weighted_scores(
    bundle: ModelBundle, data: Scan | pl.DataFrame, weight: str
) -> tuple[Floats, Floats, Floats]:
    """Labels, scores and weights of the rows whose label is known, in their order.

    Args:
        bundle: as for ``labelled_scores``.
        data: as there.
        weight: a raw column of numbers without nulls, as it stands in the table.

    Raises:
        RecipeError: as there.
    """
    labels, scores, (weights,) = _scored(bundle, data, (weight,))
    return labels, scores, weights


def _scored(
    bundle: ModelBundle, data: Scan | pl.DataFrame, beside: Sequence[str]
) -> tuple[Floats, Floats, list[Floats]]:
    labels: list[Floats] = []
    scores: list[Floats] = []
    rest: list[list[Floats]] = [[np.empty(0)] for _ in beside]
    for frame in _frames(data, list(dict.fromkeys((*bundle.recipe.source_columns, *beside)))):
        truth = bundle.recipe.labels(frame)
        known = truth.is_not_null()
        labels.append(truth.filter(known).to_numpy().astype(np.float64))
        scores.append(bundle.predict(frame.filter(known)))
        for name, values in zip(beside, rest, strict=True):
            values.append(frame[name].filter(known).cast(pl.Float64).to_numpy())
    joined = [np.concatenate(values) for values in rest]
    if not labels:
        return np.empty(0), np.empty(0), joined
    told = [some for some in scores if len(some)] or scores
    return np.concatenate(labels), np.concatenate(told), joined


def _frames(data: Scan | pl.DataFrame, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    if isinstance(data, pl.DataFrame):
        yield data
        return
    for part in data.parts():
        yield part.read(columns)
