"""The figures of a run whose rows have weights are scikit-learn's with ``sample_weight``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

import raypipe as rp

if TYPE_CHECKING:
    from pathlib import Path

judge = pytest.importorskip("sklearn.metrics")

BINARY: dict[str, Any] = {
    "roc_auc": lambda y, p, w: judge.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: judge.average_precision_score(y, p, sample_weight=w),
    "log_loss": lambda y, p, w: judge.log_loss(y, p, sample_weight=w),
    "brier": lambda y, p, w: judge.brier_score_loss(y, p, sample_weight=w),
    "accuracy": lambda y, p, w: judge.accuracy_score(y, p >= 0.5, sample_weight=w),
}
NUMBERS: dict[str, Any] = {
    "rmse": lambda y, p, w: judge.root_mean_squared_error(y, p, sample_weight=w),
    "mae": lambda y, p, w: judge.mean_absolute_error(y, p, sample_weight=w),
    "mape": lambda y, p, w: judge.mean_absolute_percentage_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: judge.r2_score(y, p, sample_weight=w),
}


def log_loss_of_classes(y: Any, p: Any, w: Any) -> float:
    with warnings.catch_warnings():  # probabilities of 32 bits sum to one in 32 bits only
        warnings.simplefilter("ignore", UserWarning)
        return float(judge.log_loss(y, p, sample_weight=w))


CLASSES: dict[str, Any] = {
    "multi_log_loss": log_loss_of_classes,
    "multi_accuracy": lambda y, p, w: judge.accuracy_score(y, p.argmax(axis=1), sample_weight=w),
    "macro_f1": lambda y, p, w: judge.f1_score(
        y, p.argmax(axis=1), average="macro", sample_weight=w
    ),
}
CASES = {
    "binary:logistic": ("two", BINARY),
    "reg:squarederror": ("number", NUMBERS),
    "multi:softprob": ("three", CLASSES),
}


def rows(seed: int, n: int = 500) -> pl.DataFrame:
    """Weights that 32 bits do not hold, some of them 0; some labels are null."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    signal = a + 0.5 * b + 0.5 * rng.normal(size=n)
    known = pl.int_range(pl.len()) % 9 > 0
    frame = pl.DataFrame(
        {
            "a": a,
            "b": b,
            "two": (signal > 0).astype(np.int64),
            "number": (signal + 10.0).astype(np.float32),
            "three": np.digitize(signal, [-0.5, 0.5]),
            "w": np.where(rng.random(n) < 0.1, 0.0, rng.random(n) * 3),
        }
    )
    return frame.with_columns(pl.when(known).then(n).alias(n) for n in ("two", "number", "three"))


@pytest.mark.parametrize("objective", CASES)
def test_figures_count_a_row_by_its_weight(tmp_path: Path, objective: str) -> None:
    label, wanted = CASES[objective]
    lake = rp.Lake(tmp_path)
    for seed in range(2):
        lake.table("rows").append(rows(seed), batch_id=f"{seed}")
        lake.table("judged").append(rows(seed + 2), batch_id=f"{seed}")
    train, valid = lake.table("rows").at(), lake.table("judged").at()
    learner = rp.XGBoost(rounds=6, max_depth=3, params={"objective": objective})
    recipe = rp.Recipe(rp.transforms.select("a", "b"))
    run = rp.Trainer(recipe, label=label, learner=learner, weight="w", run_on="local").fit(
        train, valid
    )
    judged = valid.frame().filter(pl.col(label).is_not_null())
    truth, weight = judged[label].to_numpy(), judged["w"].to_numpy()
    scores = run.bundle.predict(judged).astype(np.float64)
    assert wanted.keys() <= run.metrics.keys()
    for name, figure in wanted.items():
        assert run.metrics[name] == pytest.approx(figure(truth, scores, weight), abs=1e-12), name
        assert run.metrics[name] != pytest.approx(
            figure(truth, scores, np.ones(len(truth))), abs=1e-6
        ), name
    assert rp.Runs(lake).get(run.id).metrics == run.metrics


def test_what_begins_from_a_margin_has_the_learners_figures(tmp_path: Path) -> None:
    """The scores of the rows alone lack the margin."""
    lake = rp.Lake(tmp_path)
    lake.table("rows").append(rows(0), batch_id="rows")
    there = lake.table("rows").at()
    learner, recipe = rp.XGBoost(rounds=3), rp.Recipe(rp.transforms.select("a"))
    given: dict[str, Any] = {"learner": learner, "weight": "w", "base_margin": "b"}
    run = rp.Trainer(recipe, label="two", run_on="local", **given).fit(there, there)
    assert run.metrics == {"logloss": run.history["valid"]["logloss"][-1]}
