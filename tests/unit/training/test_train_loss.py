"""The loss told of the rows to learn from is XGBoost's own, in whichever threads it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
import xgboost

import raypipe as rp
from raypipe.training.train_loss import TrainLoss
from tests import small

if TYPE_CHECKING:
    from pathlib import Path

NEAR = 1e-6
BLOCKS = 100_003  # rows of some blocks, the last of which is not full


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_it_is_xgboosts_own_also_where_the_sigmoid_ends(weighted: bool, scale: float) -> None:
    rng = np.random.default_rng(1)
    margin = (scale * rng.normal(size=BLOCKS)).astype(np.float32)
    label = (rng.random(BLOCKS) > 0.3).astype(np.float32)
    weight = rng.random(BLOCKS).astype(np.float32) if weighted else None
    rows = xgboost.DMatrix(margin[:, None], label=label, weight=weight, base_margin=margin)
    params = {"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": 1}
    booster = xgboost.Booster(params, [rows])
    booster.update(rows, 0)
    told = float(booster.eval_set([(rows, "train")]).rpartition(":")[2])
    scores = booster.predict(rows, output_margin=True)
    one, more = (TrainLoss(label, weight, threads) for threads in (1, 3))
    assert one.total(scores) / one.weight == pytest.approx(told, rel=NEAR)
    assert one.total(scores) == more.total(scores)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_tells_it_of_all_ranks(tmp_path: Path, workers: int) -> None:
    lake = rp.Lake(tmp_path)
    lake.table("rows").append(small.rows(n=600), batch_id="rows")
    rows = lake.table("rows").at()

    def losses(metrics: list[str], weight: str | None = None) -> list[float]:
        run = rp.Trainer(
            small.recipe(),
            label="late",
            learner=rp.XGBoost(rounds=6, params={"eval_metric": metrics}),
            num_workers=workers,
            weight=weight,
            run_on="local",
        ).fit(
            rows.select(*rows.schema, w=pl.col("x").abs()), rows.select(*rows.schema, w=pl.lit(1.0))
        )
        assert list(run.history["valid"]) == metrics
        return run.history["train"]["logloss"]

    # with a second metric XGBoost itself tells both
    assert losses(["logloss"]) == pytest.approx(losses(["logloss", "error"]), rel=NEAR)
    weighted = losses(["logloss"], "w")
    assert weighted == pytest.approx(losses(["logloss", "error"], "w"), rel=NEAR)
    assert weighted != pytest.approx(losses(["logloss"]), rel=0.01)
