from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, RecipeError, SchemaError

DAY = timedelta(days=1)
SPLITS = rp.evaluation.rolling_origin(
    date(2026, 1, 21), date(2026, 2, 10), horizon=10 * DAY, gap=2 * DAY
)
ZONED = rp.evaluation.rolling_origin(
    datetime(2026, 1, 21, tzinfo=UTC), datetime(2026, 2, 10, tzinfo=UTC), horizon=10 * DAY
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> rp.Snapshot:
    rng = np.random.default_rng(0)
    n = 2000
    x, y = rng.normal(size=(2, n))
    frame = pl.DataFrame(
        {
            "day": [date(2026, 1, 1) + int(d) * DAY for d in rng.integers(0, 40, n)],
            "x": x,
            "y": y,
            "late": x + rng.normal(size=n) > 0,
            "text": "a",
        }
    )
    lake = rp.Lake(tmp_path_factory.mktemp("lake"))
    lake.table("rows").append(frame)
    return lake.table("rows").at()


def trainer(**more: Any) -> rp.Trainer:
    settings: dict[str, Any] = {"learner": rp.XGBoost(rounds=5, max_depth=2), "run_on": "local"}
    recipe = rp.Recipe(rp.transforms.select("x", "y"))
    return rp.Trainer(recipe, label="late", **{**settings, **more})


def logits() -> rp.XGBoost:
    return rp.XGBoost(rounds=2, params={"objective": "binary:logitraw"})


def test_metrics_that_are_named_take_what_the_objective_gives(rows: rp.Snapshot) -> None:
    found = rp.backtest(
        trainer(learner=logits()),
        rows,
        SPLITS[:1],
        time="day",
        metrics=[rp.metrics.roc_auc],
        resamples=100,
    )
    assert 0.5 < found.means()["roc_auc"] < 1.0


def test_each_fold_is_what_one_would_do_by_hand(rows: rp.Snapshot, tmp_path: Path) -> None:
    found = rp.backtest(trainer(), rows, SPLITS, time="day", resamples=100)
    assert len(found.folds) == 2
    frame = found.to_frame()
    for number, split in enumerate(SPLITS):
        train, test = (
            rows.frame().filter(split.train("day")),
            rows.frame().filter(split.test("day")),
        )
        run = trainer().fit(rows.where(split.train("day")))
        mine = frame.filter((pl.col("fold") == number) & (pl.col("metric") == "roc_auc")).row(
            0, named=True
        )
        assert mine["run_id"] == run.id
        assert (mine["train_rows"], mine["rows"]) == (train.height, test.height)
        expected = rp.metrics.roc_auc(test["late"].to_numpy(), run.bundle.predict(test))
        assert mine["value"] == pytest.approx(expected, abs=1e-12)
        assert mine["low"] < mine["value"] < mine["high"]
        assert (mine["train_end"], mine["test_start"]) == (split.train_end, split.test_start)
    assert found.means()["roc_auc"] == pytest.approx(
        frame.filter(pl.col("metric") == "roc_auc")["value"].mean()
    )
    assert "2026-01-21 to 2026-01-31" in repr(found)
    assert "<table" in found._repr_html_()
    found.save(tmp_path / "picture.svg", "log_loss")
    assert ElementTree.fromstring((tmp_path / "picture.svg").read_text()).tag.endswith("svg")
    again = rp.backtest(trainer(), rows, SPLITS, time="day", resamples=100)
    assert again.to_frame().equals(frame)
    assert all(fold.run.result is None for fold in again.folds)
    with pytest.raises(ConfigError, match="no such figure"):
        found.svg("rmse")


def test_figures_count_a_row_by_its_weight(tmp_path: Path, rows: rp.Snapshot) -> None:
    """As those of a run do."""
    weighed = rows.frame().with_columns(w=pl.col("y").exp())
    lake = rp.Lake(tmp_path)
    lake.table("rows").append(weighed)
    made = trainer(weight="w")
    auc = rp.metrics.roc_auc
    (fold,) = rp.backtest(
        made, lake.table("rows").at(), SPLITS[:1], time="day", metrics=[auc], resamples=100
    ).folds
    judged = weighed.filter(SPLITS[0].test("day"))
    given = judged["late"].to_numpy(), fold.run.bundle.predict(judged)
    figure = fold.figures["roc_auc"]
    assert figure.value == auc(*given, weights=judged["w"].to_numpy()) != auc(*given)
    assert figure.low < figure.value < figure.high


def test_bad_input_is_refused_before_any_training(rows: rp.Snapshot) -> None:
    before = len(rp.Runs(rows.lake).list())
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        ({}, {"splits": ()}, ConfigError, "one split or more"),
        ({}, {"splits": iter(())}, ConfigError, "one split or more"),
        ({}, {"splits": ZONED}, ConfigError, "Give them in UTC, without a zone"),
        ({}, {"level": 95}, ConfigError, "level must be between 0 and 1"),
        ({}, {"level": "0.95"}, ConfigError, "level must be between 0 and 1"),
        ({}, {"resamples": 10}, ConfigError, "resamples must be a whole number >= 100"),
        ({}, {"seed": -1}, ConfigError, "seed must be a whole number >= 0"),
        ({"early_stopping": rp.EarlyStopping()}, {}, ConfigError, "stop early"),
        ({"base_margin": "x"}, {}, ConfigError, "base margin"),
        ({}, {"metrics": [rp.metrics.rmse]}, ConfigError, "does not suit"),
        ({}, {"metrics": ["roc_auc"]}, ConfigError, "got roc_auc. Use those of rp.metrics"),
        ({"learner": logits()}, {}, ConfigError, "do not suit what this objective gives"),
        (
            {"learner": logits()},
            {"metrics": [rp.metrics.roc_auc, rp.metrics.log_loss]},
            ConfigError,
            "log_loss. Name a figure of order",
        ),
        ({}, {"time": "dya"}, SchemaError, "Did you mean 'day'"),
        ({}, {"time": "text"}, SchemaError, "a date or a time"),
        (
            {},
            {
                "splits": rp.evaluation.rolling_origin(
                    date(2025, 1, 1), date(2025, 1, 5), horizon=DAY
                )
            },
            ConfigError,
            "no rows to train on",
        ),
    ]
    for more, given, error, words in cases:
        settings = {"splits": SPLITS, "time": "day", **given}
        with pytest.raises(error, match=words):
            rp.backtest(trainer(**more), rows, **settings)
    with pytest.raises(ConfigError, match="rows= is a snapshot"):
        rp.backtest(trainer(), rows.frame(), SPLITS, time="day")  # type: ignore[arg-type]
    assert len(rp.Runs(rows.lake).list()) == before


def staged(root: str) -> rp.Snapshot:
    """A third class comes late; one label is missing from a day on; another is the same early."""
    n = 400
    day = pl.int_range(n, eager=True) // 10
    frame = pl.DataFrame({"n": day}).select(
        day=pl.lit(date(2026, 1, 1)) + pl.duration(days=pl.col("n")),
        x=pl.col("n") % 7,
        kind=pl.when(pl.col("n") >= 32).then(2).otherwise(pl.int_range(pl.len()) % 2),
        gone=pl.when(pl.col("n") < 30).then(pl.int_range(pl.len()) % 2),
        late=(pl.col("n") >= 25) & (pl.int_range(pl.len()) % 2 == 0),
        word=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("yes")).otherwise(pl.lit("no")),
    )
    lake = rp.Lake(root)
    lake.table("rows").append(frame)
    return lake.table("rows").at()


@pytest.mark.parametrize(
    ("label", "task", "message"),
    [
        ("kind", "multi:softprob", "class"),
        ("gone", "binary:logistic", "no row of a split to judge on has a label"),
        ("late", "binary:logistic", "the label is the same everywhere"),
        ("made", "multi:softprob", "class"),
        ("word", "binary:logistic", "not a number"),
    ],
)
def test_labels_of_every_fold_are_looked_at_before_any_is_trained(
    lake_root: str, label: str, task: str, message: str
) -> None:
    """The first fold of each alone would train; the last one could not."""
    rows = staged(lake_root)
    made = rp.transforms.derive(made=pl.col("kind")) if label == "made" else []
    recipe = rp.Recipe(made, rp.transforms.select("x"))
    learner = rp.XGBoost(rounds=2, params={"objective": task})
    one = rp.Trainer(recipe, label=label, learner=learner, run_on="local")
    splits = rp.evaluation.rolling_origin(date(2026, 1, 11), date(2026, 2, 10), horizon=10 * DAY)
    with pytest.raises((ConfigError, RecipeError), match=message):
        rp.backtest(one, rows, splits, time="day", resamples=100)
    assert len(rp.Runs(rows.lake).list()) == 0
