"""What is wrong with the rows is said before any work; what only looks wrong is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, RaypipeError, RecipeError, SchemaError
from tests import small


def snapshot(root: str, *frames: pl.DataFrame) -> rp.Snapshot:
    table = rp.Lake(root).table("rows")
    for frame in frames:
        table.append(frame)
    return table.at()


def trainer(**more: Any) -> rp.Trainer:
    settings = {"learner": rp.XGBoost(rounds=3), "run_on": "local", **more}
    return rp.Trainer(small.recipe(), label="late", **settings)


def labelled(label: pl.Expr, n: int = 60) -> pl.DataFrame:
    return small.rows(n=n).with_columns(late=label)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (pl.lit(None, pl.Float64), "null|no row has a label"),
        (pl.lit(float("nan")), "null|no row has a label"),
        (pl.lit(1.0), "same|class"),
        (pl.col("late").cast(pl.Float64) / 0.0, "not finite|infinite|same|class"),
        (pl.col("late").cast(pl.Float64) + 1.0, "must be 0, 1 or null: got 2.0"),
        (pl.col("late").cast(pl.Float64) * 0.5, "must be 0, 1 or null: got 0.5"),
        (pl.lit("yes"), "not a number"),
    ],
)
def test_labels_that_nothing_can_be_learned_of(
    lake_root: str, label: pl.Expr, message: str
) -> None:
    rows = snapshot(lake_root, labelled(label))
    with pytest.raises((RecipeError, ConfigError), match=message):
        trainer().fit(rows)
    assert not [path for path in rp.Lake(lake_root).files.list("runs") if "/finished/" in path]


def test_rows_whose_label_is_missing_or_nan_are_left_out(lake_root: str) -> None:
    odd = pl.int_range(pl.len()) % 3
    whole = small.rows(n=90).with_columns(late=pl.col("late").cast(pl.Float64))
    gaps = whole.with_columns(
        late=pl.when(odd == 0).then(None).when(odd == 1).then(float("nan")).otherwise("late")
    )
    run = trainer().fit(snapshot(lake_root, gaps))
    assert run.bundle.manifest["rows"] == 30


def test_fewer_files_than_workers_and_files_without_a_label(lake_root: str) -> None:
    none = small.rows(n=40, seed=1).with_columns(late=pl.lit(None, pl.Boolean))
    rows = snapshot(lake_root, none, small.rows(n=61, seed=2), none)
    run = trainer(num_workers=3).fit(rows)
    sizes = [sum(stop - start for _, start, stop in one) for one in run.bundle.manifest["shards"]]
    assert sorted(sizes) == [20, 20, 21]
    assert run.bundle.manifest["rows"] == 61


def test_a_worker_without_a_row(lake_root: str) -> None:
    rows = snapshot(lake_root, small.rows(n=4))
    with pytest.raises(ConfigError, match="4 rows with a label for 5 workers"):
        trainer(num_workers=5).fit(rows)


def test_a_worker_without_a_validation_row(lake_root: str) -> None:
    rows = snapshot(lake_root, small.rows(n=90))
    few = rows.where(pl.col("x") == pl.lit(float(rows.frame()["x"][0])))
    assert few.count() == 1
    run = trainer(num_workers=2).fit(rows, few)
    assert np.isfinite(run.history["valid"]["logloss"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("color"), "lack a column: got color"),
        (lambda f: f.drop("late"), "lack a column: got late"),
        (lambda f: f.rename({"x": "X"}), "lack a column: got x"),
        (lambda f: f.with_columns(pl.col("x").cast(pl.String)), "x"),
        (lambda f: f.with_columns(pl.lit(None, pl.Boolean).alias("late")), "no validation row"),
    ],
)
def test_validation_rows_with_other_columns(lake_root: str, change: Any, message: str) -> None:
    rows = snapshot(lake_root, small.rows(n=60))
    other = rp.Lake(lake_root).table("other")
    other.append(change(small.rows(n=20, seed=3)))
    with pytest.raises((SchemaError, RecipeError, ConfigError), match=message):
        trainer().fit(rows, other.at())


def test_more_columns_than_needed_are_no_matter(lake_root: str) -> None:
    rows = snapshot(lake_root, small.rows(n=60))
    other = rp.Lake(lake_root).table("other")
    other.append(small.rows(n=20, seed=3).with_columns(more=1).select("more", pl.exclude("more")))
    assert trainer().fit(rows, other.at()).metrics["roc_auc"] is not None


def test_every_refusal_is_of_the_tree(lake_root: str) -> None:
    rows: Any = snapshot(lake_root, small.rows(n=60))
    for train in (None, "rows", rows.frame(), rp.Lake(lake_root).table("rows")):
        with pytest.raises(RaypipeError, match="train= is a snapshot"):
            trainer().fit(train)
