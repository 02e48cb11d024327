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


@pytest.mark.parametrize("beyond", [float("inf"), float("-inf"), 1e300])
@pytest.mark.parametrize("where", ["train", "valid"])
def test_an_infinite_feature_is_named(lake_root: str, beyond: float, where: str) -> None:
    """XGBoost itself says that there is one, in a trace of C++."""
    good = small.rows(n=60)
    bad = good.with_columns(x=pl.when(pl.int_range(pl.len()) == 7).then(beyond).otherwise("x"))
    lake = rp.Lake(lake_root)
    lake.table("good").append(good)
    lake.table("bad").append(bad)
    sets = (lake.table("bad").at(), lake.table("good").at())
    with pytest.raises(RecipeError, match=r"feature 'x' is infinite in a row.*inf.*Clip") as told:
        trainer().fit(*(sets if where == "train" else sets[::-1]))
    assert told.value.field == "x"


@pytest.mark.parametrize("learner", [rp.XGBoost(rounds=3), rp.XGBoost(rounds=3, max_bin=300)])
def test_an_infinite_feature_is_named_by_ranks_and_out_of_memory(
    lake_root: str, learner: rp.XGBoost
) -> None:
    bad = small.rows(n=60).with_columns(x=1.0 / pl.lit(0.0))
    with pytest.raises(RecipeError, match="feature 'x' is infinite"):
        trainer(learner=learner, num_workers=2).fit(snapshot(lake_root, bad))
    with pytest.raises(RecipeError, match="feature 'x' is infinite"):
        trainer(learner=learner, memory_budget=64 * 1024**2).fit(
            rp.Lake(lake_root).table("rows").at()
        )


def test_a_clipped_infinity_is_trained(lake_root: str) -> None:
    bad = small.rows(n=60).with_columns(
        x=pl.when(pl.col("x") > 1).then(1 / pl.lit(0.0)).otherwise("x")
    )
    clipped = rp.Recipe(rp.transforms.clip("x", low=-5.0, high=5.0))
    run = rp.Trainer(clipped, label="late", learner=rp.XGBoost(rounds=3), run_on="local").fit(
        snapshot(lake_root, bad)
    )
    assert np.isfinite(run.history["train"]["logloss"]).all()


def test_a_label_beyond_32_bits(lake_root: str) -> None:
    learner = rp.XGBoost(rounds=3, params={"objective": "reg:squarederror"})
    with pytest.raises(RecipeError, match="not finite in 32 bits"):
        trainer(learner=learner).fit(snapshot(lake_root, labelled(pl.col("x") * 1e300)))


@pytest.mark.parametrize(
    ("objective", "settings", "label", "message"),
    [
        ("rank:ndcg", {}, pl.lit(32), "at most 31: got 32.0.*ndcg_exp_gain"),
        ("rank:ndcg", {"eval_metric": "auc"}, pl.lit(32), "at most 31: got 32.0"),
        ("rank:pairwise", {}, pl.lit(32), "at most 31: got 32.0"),
        ("rank:pairwise", {"eval_metric": "map@3"}, pl.lit(2), "metric map@3 .* 0 or 1: got 2.0"),
        ("rank:ndcg", {"eval_metric": "pre"}, pl.lit(2), "metric pre .* 0 or 1: got 2.0"),
        ("reg:squarederror", {"eval_metric": "rmsle"}, pl.lit(-2), "above -1: got -2.0"),
        ("rank:ndcg", {"ndcg_exp_gain": False}, pl.lit(32), ""),
        ("rank:pairwise", {"eval_metric": "auc"}, pl.lit(32), ""),
        ("rank:ndcg", {}, pl.lit(31), ""),
    ],
)
def test_labels_that_a_metric_cannot_judge(
    lake_root: str, objective: str, settings: dict[str, Any], label: pl.Expr, message: str
) -> None:
    place = pl.int_range(pl.len())
    data = labelled(pl.when(place == 1).then(label).otherwise(place % 2)).with_columns(g=place // 6)
    learner = rp.XGBoost(rounds=2, params={"objective": objective, **settings})
    one = trainer(learner=learner, group="g" if objective.startswith("rank") else None)
    rows = snapshot(lake_root, data)
    if not message:
        assert one.fit(rows).bundle.manifest["rows"] == 60
        return
    with pytest.raises(RecipeError, match=message):
        one.fit(rows)


@pytest.mark.parametrize("value", [object(), np.int64(3), float("nan"), {1}])
def test_parameters_that_cannot_be_stored(value: Any) -> None:
    for made in (
        lambda: rp.XGBoost(params={"max_leaves": value}),
        lambda: rp.LightGBM(params={"lambda_l2": value}),
        lambda: rp.Sklearn(estimator="Ridge", params={"alpha": value}),
    ):
        with pytest.raises(ConfigError, match="must be plain JSON"):
            made()


@pytest.mark.parametrize("metric", ["logloss", "error", "rmse"])
def test_a_loss_of_scores_that_are_no_probabilities(metric: str) -> None:
    """XGBoost computes it as if they were: 2.55 where the log loss is 0.40."""
    with pytest.raises(ConfigError, match=r"does not suit binary:logitraw.*auc, aucpr"):
        rp.XGBoost(params={"objective": "binary:logitraw", "eval_metric": metric})
    with pytest.raises(ConfigError, match="does not suit binary:hinge"):
        rp.XGBoost(params={"objective": "binary:hinge", "eval_metric": "logloss"})
    assert rp.XGBoost(params={"objective": "binary:logitraw"}).metrics == ["auc"]


def test_a_feature_without_a_value_is_named_where_the_estimator_takes_none(lake_root: str) -> None:
    """Histogram boosting seeks bins of it, and only says that a window is too wide."""
    gap = small.rows(n=60).with_columns(gap=pl.lit(None, pl.Float64))
    learner = rp.Sklearn(estimator="HistGradientBoostingClassifier", params={"max_iter": 2})
    made = rp.Trainer(rp.Recipe(rp.transforms.select("x", "gap")), label="late", learner=learner)
    with pytest.raises(RecipeError, match="The feature 'gap' is missing in every row") as error:
        made.fit(snapshot(lake_root, gap))
    assert error.value.field == "gap"


def test_a_weight_that_is_no_number_is_named(lake_root: str) -> None:
    rows = snapshot(lake_root, small.rows(n=60))
    for role, kind in (("weight", "weight"), ("base_margin", "base margin")):
        with pytest.raises(SchemaError, match=f"a {kind}, 'late', is no number: got Boolean. Cast"):
            trainer(**{role: "late"}).fit(rows)
