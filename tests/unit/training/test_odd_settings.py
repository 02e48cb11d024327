"""Settings that users get wrong, each with what the error must tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ray import tune

import raypipe as rp
from raypipe.core.errors import ConfigError, RecipeError
from raypipe.training.xgboost_errors import first_words
from tests import small

SEVERAL = {"objective": "multi:softprob", "num_class": 3}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rp.XGBoost(params={"num_boost_round": 3}), r"Use rounds=\.$"),
        (lambda: rp.XGBoost(params={"early_stopping_rounds": 3}), r"Use Trainer\(early_stopping="),
        (lambda: rp.XGBoost(params={"num_class": 3}), "num_class does not suit binary:logistic"),
        (lambda: rp.XGBoost(params={"eval_metric": []}), "names no metric"),
        (lambda: rp.LightGBM(params={"n_estimators": 3}), r"Use rounds=\.$"),
        (lambda: rp.LightGBM(params={"num_iterations": 3}), r"Use LightGBM\(rounds=\)"),
        (lambda: rp.LightGBM(params={"nthread": 3}), r"Use Trainer\(cpus_per_worker=\)"),
        (lambda: rp.LightGBM(params={"verbosity": 1}), "in Runs"),
        (lambda: rp.Schedule(start=0.3, end=1e-300, shape="exponential"), "and this one is 0 th"),
        (
            lambda: rp.Trainer(small.recipe(), label="late", memory_budget="512MB"),  # type: ignore[arg-type]
            r">= 67108864: got 512MB\. Give bytes, such as",
        ),
        (lambda: rp.Schedule(start=0.3, end=0.1, warmup=True), "warmup must be a whole number"),
    ],
)
def test_a_setting_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_settings_that_are_odd_and_right() -> None:
    assert rp.XGBoost(params=SEVERAL).task == "multiclass"
    assert rp.Schedule(start=1.0, end=1.2e-38).at(9, 10) == 1.2e-38
    rp.XGBoost(rounds=2, learning_rate=rp.Schedule(start=1.2e-38, end=1.0)).check()


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (
            (
                "[23:16:21] /__w/xgboost/src/objective/regression_obj.cu:49: Check failed: "
                "info.labels.Size() == preds.Size() (16 vs. 48) : Invalid shape.\nStack trace:\n"
            ),
            "Invalid shape.",
        ),
        ("[1:2:3] /__w/src/common/categorical.h:73: Invalid category.", "Invalid category."),
        ("[1:2:3] value -1 for Parameter subsample", "value -1 for Parameter subsample"),
        ("[1:2:3] /__w/src/a.cc:3: Check failed: x > 3: ", "Check failed: x > 3:"),
        ("", "no reason given"),
    ],
)
def test_a_reason_of_xgboost_is_without_places_of_its_source(told: str, reason: str) -> None:
    assert first_words(told) == reason


@pytest.mark.parametrize(
    ("space", "settings", "message"),
    [
        ({"max_depth": tune.randint(2, 5)}, {"num_samples": 10**9}, "num_samples is at most 1,000"),
        ({"max_depth": tune.choice(np.arange(2, 5))}, {}, r"of type int64\. .* its tolist\(\)"),
        ({"num_boost_round": tune.randint(2, 5)}, {}, r"Use rounds=\."),
    ],
)
def test_a_search_that_cannot_be(space: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rp.Tuner(rp.Trainer(small.recipe(), label="late"), space, **settings)


def test_rows_that_lightgbm_cannot_part(tmp_path: Path) -> None:
    lake = rp.Lake(str(tmp_path))
    frame = pl.DataFrame({"x": [0.5, 0.7], "late": [0, 1]})
    lake.table("two").append(frame)
    made = rp.Trainer(
        rp.Recipe(rp.transforms.select("x")), label="late", learner=rp.LightGBM(rounds=2)
    )
    with pytest.raises(RecipeError, match="finds no feature that could part the rows"):
        made.fit(lake.table("two").at())


def test_what_runs_cannot_be_searched_by(tmp_path: Path) -> None:
    lake = rp.Lake(str(tmp_path))
    lake.table("rows").append(small.rows(n=60))
    rows = lake.table("rows").at()
    made = rp.Trainer(small.recipe(), label="late", learner=rp.XGBoost(rounds=1))
    run = made.fit(rows, rows, tags={"note": "é" * 10_000})
    runs, auc = rp.Runs(lake), pl.col("metric.roc_auc")
    assert len(runs.search(auc >= 0, order_by="started", limit=1)) == 1
    assert len(runs.search(auc.max() >= 0, limit=0)) == 0
    cases: list[tuple[dict[str, Any], str]] = [
        ({"where": auc > "x"}, "does not suit the runs' columns"),
        ({"where": auc + 1}, "does not suit the runs' columns"),
        ({"order_by": 3}, "order_by"),
        ({"order_by": "sttarted"}, "Did you mean started"),
        ({"order_by": "started", "descending": "yes"}, "descending is True or False: got yes"),
        ({"limit": -1}, "limit must be a whole number >= 0: got -1"),
        ({"limit": 1.5}, "limit must be a whole number >= 0: got 1.5"),
    ]
    for settings, message in cases:
        with pytest.raises(ConfigError, match=message):
            runs.search(**settings)
    with pytest.raises(ConfigError, match=f"compared with itself: got {run.id}"):
        runs.compare(run.id, run.id[:9])
    made.fit(rows, rows, tags={"note": "short"})
    assert len(runs.list()._repr_html_()) < 5_000
    assert runs.search(pl.col("tag.note").str.len_chars() == 10_000).ids == [run.id]


@pytest.mark.parametrize("tags", [[1, 2], "text", {"a": {1}}, {"a": float("nan")}, {"a": "\ud800"}])
def test_tags_that_are_no_json(tmp_path: Path, tags: Any) -> None:
    lake = rp.Lake(str(tmp_path))
    lake.table("rows").append(small.rows(n=20))
    with pytest.raises(ConfigError, match="tags"):
        rp.Trainer(small.recipe(), label="late").fit(lake.table("rows").at(), tags=tags)
    assert not rp.Runs(lake).records()
