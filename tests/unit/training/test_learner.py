from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import raypipe as rp
from raypipe.core.errors import ConfigError
from raypipe.training.stopping import Best
from tests import small


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "rounds must be a whole number >= 1: got 0"),
        ({"max_depth": 1.5}, "max_depth"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"device": "tpu"}, "no such device"),
        ({"monotone": {"x": 2}}, "monotone"),
        ({"params": {"seed": 3}}, "raypipe sets seed itself"),
        ({"params": {"nthread": 3}}, "cpus_per_worker"),
        ({"params": {"objective": "reg:squarederr"}}, "Did you mean 'reg:squarederror'"),
        ({"params": {"subsampel": 0.5}}, "Did you mean 'subsample'"),
        ({"params": {"booster": "gblinear"}}, "booster cannot be this"),
        ({"params": {"tree_method": "approx"}}, "tree_method cannot be this"),
        ({"params": {"eval_metric": "rsme"}}, "Did you mean 'rmse'"),
        ({"params": {"eval_metric": "mlogloss"}}, "does not suit binary:logistic"),
        (
            {"params": {"objective": "reg:squarederror", "eval_metric": ["rmse", "auc"]}},
            "does not suit reg:squarederror",
        ),
    ],
)
def test_bad_settings_are_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rp.XGBoost(**settings)


@pytest.mark.parametrize(
    "params",
    [{"subsample": 1.5}, {"colsample_bytree": -1.0}, {"max_delta_step": -1.0}, {"gamma": "much"}],
)
def test_xgboost_itself_judges_values_before_any_work(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="XGBoost refuses the parameters"):
        rp.XGBoost(params=params).check()


@pytest.mark.parametrize(
    "learner",
    [
        rp.XGBoost(rounds=5, params={"subsample": 0.5}),
        rp.XGBoost(
            learning_rate=rp.Schedule(start=0.3, end=0.1, warmup=2),
            monotone={"x": -1},
            interactions=[["x", "y"]],
            categorical=["c"],
            device="cuda",
            params={"objective": "reg:gamma", "eval_metric": ["gamma-deviance", "rmse"]},
        ),
    ],
)
def test_round_trip(learner: rp.XGBoost) -> None:
    assert rp.XGBoost.from_dict(learner.to_dict()) == learner
    assert learner.booster_params(seed=4, threads=2)["seed_per_iteration"] is True
    with pytest.raises(ConfigError, match="unknown learner"):
        rp.XGBoost.from_dict({"name": "forest"})


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"num_workers": 0}, "num_workers"),
        ({"num_workers": (2, 1)}, "num_workers"),
        ({"cpus_per_worker": 0}, "cpus_per_worker"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"checkpoint_every": timedelta(0)}, "checkpoint_every"),
        ({"memory_budget": 1000}, "memory_budget"),
        ({"run_on": "moon"}, "run_on"),
        ({"group": "q"}, "group"),
    ],
)
def test_a_trainer_checks_its_settings(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rp.Trainer(small.recipe(), label="late", **settings)
    assert caught.value.field == field


@given(
    st.integers(2, 300), st.integers(0, 20), st.sampled_from(["linear", "cosine", "exponential"])
)
def test_a_schedule_goes_from_one_rate_to_the_other(rounds: int, warmup: int, shape: Any) -> None:
    schedule = rp.Schedule(start=0.3, end=0.01, shape=shape, warmup=warmup)
    rates = [schedule.at(number, rounds) for number in range(rounds)]
    assert all(0.0 < rate <= 0.3 + 1e-12 for rate in rates)
    if rounds > warmup + 1:
        assert rates[warmup] == pytest.approx(0.3)
        assert rates[-1] == pytest.approx(0.01)
    assert rates[:warmup] == sorted(rates[:warmup])


@given(st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=40))
def test_early_stopping_keeps_the_best_round(scores: list[float]) -> None:
    rule, best = rp.EarlyStopping(patience=3), Best()
    for number, score in enumerate(scores):
        best = best.after(score, number, rule, "logloss")
        if best.stopped:
            assert number - max(best.round, -1) >= 3
            break
    seen = [score for score in scores[: number + 1] if score == score]
    assert best.score == (min(seen) if seen else None)
    if best.round >= 0:
        assert scores[best.round] == best.score
    assert Best.from_dict(best.to_dict()) == best


def test_a_trainer_with_another_learner_keeps_all_else() -> None:
    trainer = rp.Trainer(
        small.recipe(),
        label="late",
        learner=rp.XGBoost(rounds=5, params={"objective": "rank:ndcg"}),
        num_workers=2,
        cpus_per_worker=1,
        seed=7,
        weight="w",
        base_margin=["m"],
        group="g",
        early_stopping=rp.EarlyStopping(patience=3),
        checkpoint_every=4,
        memory_budget=2**30,
        run_on="ray",
        max_failures=1,
    )
    other = rp.XGBoost(rounds=9, params={"objective": "rank:map"})
    made = trainer.with_learner(other)
    kept = {name: value for name, value in vars(trainer).items() if name != "learner"}
    assert {name: value for name, value in vars(made).items() if name != "learner"} == kept
    assert made.learner == other
    assert trainer.learner.rounds == 5
    with pytest.raises(ConfigError, match="ranking needs a group"):
        trainer.with_learner(rp.XGBoost())


@pytest.mark.parametrize("seed", ["7", 1.5, True, -1, 2**63])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        rp.Trainer(small.recipe(), label="late", seed=seed)


@pytest.mark.parametrize("given", [{"patience": True}, {"min_delta": "1"}, {"min_delta": -1}])
def test_when_to_stop_is_numbers(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        rp.EarlyStopping(**given)


def test_what_is_no_json_is_no_tag(lake_root: str) -> None:
    table = rp.Lake(lake_root).table("rows")
    table.append(small.rows(n=50))
    for tag in (object(), float("nan")):
        with pytest.raises(ConfigError, match="tags must be plain JSON"):
            rp.Trainer(small.recipe(), label="late").fit(table.at(), tags={"by": tag})
