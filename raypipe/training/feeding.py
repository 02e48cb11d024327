"""From a rank's slices to XGBoost's matrix: each rank reads its own files, through the recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xgboost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from raypipe.core.scan import ScanPart
    from raypipe.features import FittedRecipe
    from raypipe.training.plan import Slice

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def read_batches(
    parts: Sequence[ScanPart], shard: Sequence[Slice], recipe: FittedRecipe
) -> Iterator[Batch]:
    """Features and labels of a shard, one slice after the other; rows without a label are left out.

    A part is read once even when several slices of it follow each other.
    """
    columns = recipe.source_columns
    opened, frame = -1, None
    for piece in shard:
        if piece.part != opened or frame is None:
            opened, frame = piece.part, parts[piece.part].read(columns)
        start, stop = piece.bounds(len(frame))
        rows = frame.slice(start, stop - start)
        labels = recipe.labels(rows)
        known = labels.is_not_null()
        rows, labels = rows.filter(known), labels.filter(known)
        if len(rows):
            yield recipe.transform(rows).to_numpy(), labels.to_numpy()


def booster_names(features: Sequence[str]) -> list[str]:
    """Names that XGBoost takes: it refuses ``[``, ``]`` and ``<``, which a category may hold.

    The recipe keeps the real names, in the same order.
    """
    names: list[str] = []
    for feature in features:
        name = feature.translate({ord("["): "(", ord("]"): ")", ord("<"): "{"})
        names.append(name if name not in names else f"{name} ({len(names)})")
    return names


class _Batches(xgboost.DataIter):  # type: ignore[misc]
    """XGBoost pulls the batches several times to sketch and to bin; they are kept between pulls."""

    def __init__(self, batches: Sequence[Batch], feature_names: Sequence[str]) -> None:
        super().__init__()
        self._batches = batches
        self._names = booster_names(feature_names)
        self._next = 0

    def reset(self) -> None:
        self._next = 0

    def next(self, input_data: Callable[..., Any]) -> bool:
        if self._next == len(self._batches):
            return False
        features, labels = self._batches[self._next]
        input_data(data=features, label=labels, feature_names=self._names)
        self._next += 1
        return True


def matrix(
    batches: Sequence[Batch],
    feature_names: Sequence[str],
    *,
    max_bin: int,
    threads: int,
    ref: xgboost.DMatrix | None = None,
) -> xgboost.QuantileDMatrix:
    """A binned matrix of the batches; ``ref`` gives the bins for rows to evaluate on."""
    if not batches:  # a rank may hold no row of the validation set, yet it takes part in each round
        nothing = np.empty((0, len(feature_names)), dtype=np.float32)
        batches = [(nothing, np.empty(0, dtype=np.float32))]
    return xgboost.QuantileDMatrix(
        _Batches(batches, feature_names), max_bin=max_bin, nthread=threads, ref=ref
    )
