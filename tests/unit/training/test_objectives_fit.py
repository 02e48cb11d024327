"""Every kind of problem is learned, saved, resumed and evaluated by the same fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

import raypipe as rp
from raypipe.core.errors import ConfigError, RecipeError


def rows(n: int = 900, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    signal = a - 0.5 * b + 0.3 * rng.normal(size=n)
    return pl.DataFrame(
        {
            "a": a,
            "b": np.where(rng.random(n) < 0.1, np.nan, b),
            "code": rng.integers(0, 5, n),
            "number": signal,
            "positive": np.exp(signal),
            "count": rng.poisson(np.exp(0.5 * signal)),
            "three": np.digitize(signal, [-0.5, 0.5]),
            "grade": np.clip(np.round(signal + 2), 0, 4).astype(np.int64),
            "two": (signal > 0).astype(np.int64),
            "query": np.arange(n) // 15,
            "w": rng.random(n) + 0.5,
            "m": 0.1 * a,
        }
    )


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> rp.Snapshot:
    lake = rp.Lake(str(tmp_path_factory.mktemp("lake")))
    for part in range(3):
        frame = rows(seed=part).with_columns(query=pl.col("query") + 100 * part)
        lake.table("rows").append(frame, batch_id=str(part))
    return lake.table("rows").at()


def recipe() -> rp.Recipe:
    return rp.Recipe(rp.transforms.select("a", "b", "code"))


def train(snapshot: rp.Snapshot, label: str, params: dict[str, Any], **settings: Any) -> rp.Run:
    learner = rp.XGBoost(rounds=12, max_depth=3, params=params, **settings.pop("learner", {}))
    trainer = rp.Trainer(recipe(), label=label, learner=learner, run_on="local", **settings)
    return trainer.fit(snapshot, snapshot)


@pytest.mark.parametrize(
    ("objective", "label", "figure", "at_most"),
    [
        ("reg:squarederror", "number", "rmse", 0.7),
        ("reg:absoluteerror", "number", "mae", 0.6),
        ("reg:gamma", "positive", "mae", 2.0),
        ("reg:tweedie", "positive", "mae", 2.0),
        ("count:poisson", "count", "rmse", 1.5),
        ("multi:softprob", "three", "multi_log_loss", 0.8),
        ("binary:logistic", "two", "log_loss", 0.5),
        ("survival:cox", "positive", "cox-nloglik", 10.0),
    ],
)
def test_objectives(
    snapshot: rp.Snapshot, objective: str, label: str, figure: str, at_most: float
) -> None:
    run = train(snapshot, label, {"objective": objective})
    value = run.metrics[figure]
    assert value is not None
    assert value < at_most
    assert run.bundle.manifest["rows"] == 2700
    scores = run.bundle.predict(snapshot.frame().head(5))
    assert scores.shape == ((5, 3) if objective == "multi:softprob" else (5,))


@pytest.mark.parametrize("workers", [1, 2])
def test_ranking_learns_what_xgboost_learns_of_whole_groups(
    snapshot: rp.Snapshot, workers: int
) -> None:
    run = train(snapshot, "grade", {"objective": "rank:ndcg"}, group="query", num_workers=workers)
    assert (run.metrics["ndcg"] or 0) > 0.9
    shards = run.bundle.manifest["shards"]
    assert len(shards) == workers
    assert all((stop % 15, start % 15) == (0, 0) for shard in shards for _, start, stop in shard)


def test_the_model_is_that_of_plain_xgboost(snapshot: rp.Snapshot) -> None:
    """Weights, margins, missing values and constraints arrive: the same trees come out."""
    frame = snapshot.frame()
    run = train(
        snapshot,
        "two",
        {"reg_lambda": 2.0},
        weight="w",
        base_margin="m",
        learner={"monotone": {"a": 1}, "interactions": [["a", "b"], ["code"]]},
    )
    plain = xgboost.QuantileDMatrix(
        frame.select(pl.col("a", "b", "code").cast(pl.Float32)).to_numpy(),
        label=frame["two"].to_numpy(),
        weight=frame["w"].cast(pl.Float32).to_numpy(),
        base_margin=frame["m"].cast(pl.Float32).to_numpy(),
        feature_names=["a", "b", "code"],
    )
    params = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "learning_rate": 0.1,
        "reg_lambda": 2.0,
        "monotone_constraints": (1, 0, 0),
        "interaction_constraints": "[[0, 1], [2]]",
        "seed": 0,
    }
    expected = xgboost.train(params, plain, num_boost_round=12)
    assert run.bundle.booster.get_dump() == expected.get_dump()


def test_codes_of_categories(snapshot: rp.Snapshot) -> None:
    run = train(snapshot, "two", {"max_cat_to_onehot": 1}, learner={"categorical": ["code"]})
    assert run.bundle.booster.feature_types == ["q", "q", "c"]


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_spill_and_disk_give_the_same_bytes(
    snapshot: rp.Snapshot, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.training import tree_session

    hashes = set()
    for mode in ("memory", "spill", "disk"):
        monkeypatch.setattr(tree_session, "choose_mode", lambda *_, m=mode, **__: m)
        params = {"subsample": 0.7, "colsample_bytree": 0.7}
        run = rp.Trainer(
            recipe(),
            label="two",
            learner=rp.XGBoost(rounds=8, params=params),
            run_on="local",
            num_workers=workers,
        ).fit(snapshot, snapshot, tags={"mode": mode})
        hashes.add(run.bundle.content_hash)
    assert len(hashes) == 1


def test_labels_that_do_not_suit_the_objective(snapshot: rp.Snapshot) -> None:
    for objective, label, words in (
        ("reg:gamma", "count", "above 0"),
        ("count:poisson", "number", "0 or more"),
        ("multi:softprob", "number", "a class"),
        ("rank:ndcg", "number", "whole number"),
    ):
        group = {"group": "query"} if objective.startswith("rank") else {}
        with pytest.raises(RecipeError, match=words):
            train(snapshot, label, {"objective": objective}, **group)
    with pytest.raises(RecipeError, match="no row of a class"):
        train(snapshot.where(pl.col("three") != 1), "three", {"objective": "multi:softprob"})
    with pytest.raises(RecipeError, match="do not lie together"):
        train(snapshot, "grade", {"objective": "rank:ndcg"}, group="code")
    with pytest.raises(ConfigError, match="needs a group"):
        train(snapshot, "grade", {"objective": "rank:ndcg"})
    with pytest.raises(ConfigError, match="does not give"):
        train(snapshot, "two", {}, learner={"monotone": {"aa": 1}})


@pytest.mark.parametrize(
    ("role", "value", "message"),
    [
        ("weight", 1e300, "a weight, 'role', is below 0 or not finite in 32 bits: got 1e\\+300"),
        ("base_margin", -1e300, "a base margin, 'role', is not finite in 32 bits: got -1e\\+300"),
        ("weight", 0.0, "'role' is 0 in every row of train="),
        ("weight", 1e-60, "'role' is 0 in every row of train="),
    ],
)
def test_what_is_infinite_or_nothing_in_32_bits(
    lake_root: str, role: str, value: float, message: str
) -> None:
    table = rp.Lake(lake_root).table("rows")
    table.append(rows(40).with_columns(role=pl.lit(value)))
    roles: dict[str, Any] = {role: "role"}
    trainer = rp.Trainer(recipe(), label="two", run_on="local", **roles)
    with pytest.raises(RecipeError, match=message):
        trainer.fit(table.at())


@pytest.mark.parametrize("learner", [rp.XGBoost(params={"objective": "multi:softprob"}), None])
def test_validation_rows_of_a_class_that_is_not_learned(
    snapshot: rp.Snapshot, learner: Any
) -> None:
    label = "three" if learner else "grade"
    few = snapshot.where(pl.col(label) < 2)
    trainer = rp.Trainer(recipe(), label=label, learner=learner, run_on="local")
    with pytest.raises(RecipeError, match=r"no row of a class|must be 0, 1 or null"):
        trainer.fit(few, snapshot)
