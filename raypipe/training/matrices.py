"""From batches to XGBoost's binned matrix, at a bounded memory.

The batches are gone through several times, to seek the bins and to fill them. They are kept in
memory where that is little, else written once to a local file that is gone with the process, and
the binned matrix itself goes to disk where it does not fit. The bins, and so the trees, are the
same in all three ways.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xgboost

from raypipe.core.errors import TrainingError
from raypipe.engine.memory import give_back
from raypipe.training.cut_points import held_bytes
from raypipe.training.feeding import Batch, joined_rest
from raypipe.training.sketching import Sketch
from raypipe.training.xgboost_errors import first_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from raypipe.training.feeding import Feed

Mode = Literal["memory", "spill", "disk"]

ROW_BYTES = 48
"""Gradients, scores, positions and labels of a row."""

_BATCHES_BYTES = 96 * 1024**2  # batches on their way
_HELD_BYTES = 128 * 1024**2  # what may be held without being asked


def choose_mode(
    rows: int,
    features: int,
    max_bin: int,
    budget: int | None,
    memory: int,
    *,
    own_bins: bool = False,
) -> Mode:
    """How a rank keeps its rows: a pure decision.

    Args:
        rows: of the rank, those to learn from and those to evaluate on.
        features: columns.
        max_bin: bins a feature; up to 256 take a byte each, and a matrix holds two of them.
        budget: bytes that the rank may take, if the user said so.
        memory: bytes that it may take otherwise.
        own_bins: whether raypipe seeks the bins, and not XGBoost.
    """
    raw = rows * features * 4
    binned = rows * (features * 2 * (1 if max_bin <= 256 else 2) + ROW_BYTES)
    room = memory if budget is None else budget
    if binned + _BATCHES_BYTES > room:
        return "disk"
    held = min(room, _HELD_BYTES)
    if budget is not None:
        held = room - max(binned, sketch_bytes(rows, features, max_bin, own_bins=own_bins))
    return "memory" if raw <= held else "spill"


def sketch_bytes(rows: int, features: int, max_bin: int, *, own_bins: bool = False) -> int:
    """What the quantile sketches of all features take while bins are sought.

    Each of XGBoost's holds levels of as many summaries, a queue of values and a summary in the
    making; its ``WQuantileSketch`` tells how many (``LimitSizeLevel``, an error of an eighth of a
    bin).
    """
    if own_bins:
        return held_bytes(rows, features, max_bin)
    levels, error = 1, 1 / (8 * max_bin)
    while True:
        limit = min(int(levels / error) + 1, rows)
        if (limit << levels) >= rows:
            return features * limit * (16 * (levels + 2) + 16)
        levels += 1


def booster_names(features: Sequence[str]) -> list[str]:
    """Names that XGBoost takes: it refuses ``[``, ``]`` and ``<``, which a category may hold.

    The recipe keeps the real names, in the same order.
    """
    names: list[str] = []
    for feature in features:
        name = feature.translate({ord("["): "(", ord("]"): ")", ord("<"): "{"})
        names.append(name if name not in names else f"{name} ({len(names)})")
    return names


@dataclass(frozen=True, slots=True)
class Columns:
    """Names and kinds of features, as XGBoost takes them."""

    names: list[str]
    kinds: list[str] | None

    @classmethod
    def of(cls, features: Sequence[str], categorical: Sequence[str]) -> Columns:
        """Of the features by name; codes of categories are marked."""
        codes = set(categorical)
        kinds = ["c" if name in codes else "q" for name in features] if codes else None
        return cls(booster_names(features), kinds)


class _Spilled:
    """Batches whose features lie in a file without a name: it is gone with the process.

    They are mapped, so that they take no memory that the system cannot have back.

    Args:
        batches: to be written, one after the other.
        folder: on a local disk.
        joined: whether they come back as a single batch, which takes XGBoost less time.
    """

    def __init__(self, batches: Iterable[Batch], folder: str | None, *, joined: bool) -> None:
        self._file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - mapped until closed
        self._rest: list[tuple[int, tuple[int, int], Batch]] = []
        empty = np.empty((0, 0), dtype=np.float32)
        try:
            for batch in batches:
                at, features = self._file.tell(), batch.features
                self._file.write(np.ascontiguousarray(features).data)
                self._rest.append((at, features.shape, replace(batch, features=empty)))
            self._file.flush()
        except BaseException:  # rows that cannot be read, or be learned from
            self._file.close()
            raise
        if joined and len(self._rest) > 1:
            shape = (sum(rows for _, (rows, _), _ in self._rest), self._rest[0][1][1])
            self._rest = [(0, shape, joined_rest([small for _, _, small in self._rest]))]

    def close(self) -> None:
        """Gives the file back."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._rest)

    def __getitem__(self, number: int) -> Batch:
        at, shape, small = self._rest[number]
        mapped = np.memmap(self._file, np.float32, "r", at, shape)
        return replace(small, features=np.asarray(mapped))


class _Batches(xgboost.DataIter):  # type: ignore[misc]
    def __init__(self, batches: Any, columns: Columns, cache: str | None) -> None:
        super().__init__(cache_prefix=cache, release_data=True)
        self._batches = batches
        self._columns = columns
        self._next = 0

    def reset(self) -> None:
        self._next = 0

    def next(self, input_data: Callable[..., Any]) -> bool:
        if self._next == len(self._batches):
            return False
        batch: Batch = self._batches[self._next]
        input_data(
            data=batch.features,
            feature_names=self._columns.names,
            feature_types=self._columns.kinds,
            **batch.small(),
        )
        self._next += 1
        return True


def matrix(
    feed: Feed,
    columns: Columns,
    *,
    max_bin: int,
    threads: int,
    mode: Mode,
    folder: str | None,
    at_once: int = 1,
    ref: xgboost.DMatrix | None = None,
    own_bins: bool = False,
) -> xgboost.DMatrix:
    """A binned matrix of a rank's rows.

    ``at_once`` pieces of files are read and transformed at a time, and held. The bins are those of
    ``ref`` where it is given; else raypipe seeks them with ``own_bins``, and XGBoost without.

    Raises:
        RecipeError: a feature is infinite in a row.
        TrainingError: XGBoost refuses the rows for another reason.
    """
    # A single batch takes XGBoost less time; those of a matrix on disk are its pages.
    batches: Any
    if feed.held:
        batches = list(feed.batches(at_once))
    elif mode == "memory":
        batches = [feed.whole(at_once)] if feed.rows else []
    else:
        batches = _Spilled(feed.batches(at_once), folder, joined=mode == "spill")
    if feed.at_once is not None:
        give_back()
    if not len(batches):  # a rank may hold no validation row, yet it takes part in each round
        nothing = np.empty((0, len(columns.names)), dtype=np.float32)
        group = np.empty(0, dtype=np.uint32) if feed.roles.group else None
        batches = [Batch(nothing, np.empty(0, dtype=np.float32), group=group)]
    cache = str(Path(folder or tempfile.gettempdir()) / ("train" if ref is None else "valid"))
    settings: dict[str, Any] = {"max_bin": max_bin, "nthread": threads}
    try:
        if own_bins and ref is None:
            ref = _bins(batches, columns, **settings)
        settings |= {"ref": ref, "enable_categorical": columns.kinds is not None}
        if mode != "disk":
            return xgboost.QuantileDMatrix(_Batches(batches, columns, None), **settings)
        return xgboost.ExtMemQuantileDMatrix(_Batches(batches, columns, cache), **settings)
    except xgboost.core.XGBoostError as error:
        if isinstance(batches, _Spilled):
            batches.close()
        raise TrainingError("XGBoost cannot take the rows", first_words(str(error))) from error


def _bins(batches: Any, columns: Columns, *, max_bin: int, nthread: int) -> xgboost.DMatrix:
    """A small matrix whose bins are those of the rows of all ranks."""
    with Sketch(len(columns.names), max_bin, nthread) as sketch:
        for number in range(len(batches)):
            sketch.update(batches[number].features)
        found = sketch.representatives()
    return xgboost.QuantileDMatrix(
        found, feature_names=columns.names, max_bin=max_bin, nthread=nthread
    )
