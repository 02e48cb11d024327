"""Whether each fold of a backtest has labels to train and to judge on, before any is trained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.core.errors import ConfigError, RecipeError
from raypipe.training.survey import Labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.lake import Snapshot
    from raypipe.models.evaluation import TimeSplit
    from raypipe.training.trainer import Trainer


def check_fold_labels(
    trainer: Trainer, rows: Snapshot, splits: Sequence[TimeSplit], time: str
) -> None:
    """Refuses a fold whose labels could not be learned, or whose model could not be judged.

    It reads the label and the time of all rows.

    Raises:
        RecipeError: the rows to train on have one value only, or lack a class; the rows to judge on
            have one that is not learned, or the labels are not what the learner takes.
        ConfigError: a fold has no label to train or to judge on.
    """
    known = _labelled(trainer, rows, splits, time)
    for split in splits:
        train = _labels(trainer.label, known.filter(split.train(time)))
        test = _labels(trainer.label, known.filter(split.test(time)))
        for kind, found in (("train", train), ("judge", test)):
            if not found.count:
                what = f"no row of a split to {kind} on has a label"
                raise ConfigError(what, str(split), "Begin later, or take longer spans.", "rows")
        try:
            if train.low == train.high:
                raise RecipeError("the label is the same everywhere", train.low)
            trainer.learner.check_labels(train)
            trainer.learner.check_labels(train.with_ends_of(test))
            new = {int(one) for one in test.values - train.values}
            if trainer.learner.task == "multiclass" and new:
                raise RecipeError("a class is not in the rows to train on", f"class {min(new)}")
        except RecipeError as error:
            raise RecipeError(
                f"a split cannot be trained and judged: {error.what}",
                f"{error.got} in {split}",
                "Begin later, take longer spans, or group rare classes.",
                trainer.label,
            ) from error


def _labelled(
    trainer: Trainer, rows: Snapshot, splits: Sequence[TimeSplit], time: str
) -> pl.DataFrame:
    """Time and label of the rows that have one."""
    label, named = trainer.label, json.dumps(trainer.label)
    dtype = rows.schema.get(label)  # what is no number is refused by the fit of the recipe
    raw = dtype is not None and (dtype.is_numeric() or dtype == pl.Boolean)
    if raw and not any(named in json.dumps(one.to_json()) for one in trainer.recipe.transforms):
        values = pl.col(label).cast(pl.Float64).fill_nan(None)
        frame = rows.lazy().select(pl.col(time), _label=values).collect()
    else:  # no transform that is fitted makes a label, so one fold's recipe makes it for all
        fitted = trainer.recipe.fit(rows.where(splits[0].train(time)), label=label)
        times = rows.lazy().select(time).collect()
        frame = times.with_columns(fitted.labels(rows).cast(pl.Float64).alias("_label"))
    return frame.drop_nulls("_label")


def _labels(name: str, known: pl.DataFrame) -> Labels:
    values: Any = known["_label"].unique().to_numpy()
    odd = values[np.mod(values, 1.0) != 0.0]
    return Labels(
        name=name,
        count=known.height,
        total=float(values.sum()),
        low=float(values.min()) if len(values) else 0.0,
        high=float(values.max()) if len(values) else 0.0,
        whole=not len(odd),
        odd=float(odd[0]) if len(odd) else None,
        values=frozenset(values.tolist()),
    )
