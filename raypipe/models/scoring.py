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
    labels: list[Floats] = []
    scores: list[Floats] = []
    for frame in _frames(data, bundle.recipe.source_columns):
        truth = bundle.recipe.labels(frame)
        known = truth.is_not_null()
        labels.append(truth.filter(known).to_numpy().astype(np.float64))
        scores.append(bundle.predict(frame.filter(known)))
    if not labels:
        return np.empty(0), np.empty(0)
    return np.concatenate(labels), np.concatenate([some for some in scores if len(some)] or scores)


def _frames(data: Scan | pl.DataFrame, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    if isinstance(data, pl.DataFrame):
        yield data
        return
    for part in data.parts():
        yield part.read(columns)
