from __future__ import annotations

import inspect
import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
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
        ({"objective": "reg:gamma"}, 'Write params={"objective": …}'),
        ({"round": 3}, "Did you mean 'rounds'"),
        ({"n_estimators": 3}, "Use rounds=."),
        ({"early_stopping_rounds": 3}, "EarlyStopping"),
        ({"seed": 3}, "Trainer(seed=)"),
        ({"learning_rate": "fast"}, "learning_rate must be in (0, 1]: got fast"),
        ({"learning_rate": float("nan")}, "learning_rate must be in (0, 1]"),
        ({"params": [1]}, "params is a mapping: got list"),
        ({"params": {5: 5}}, "a name in params is no text: got 5"),
        ({"params": {"eval_metric": 5}}, "XGBoost has no such metric: got 5"),
        ({"monotone": ["x"]}, "monotone is a mapping"),
        ({"monotone": {"x": "up"}}, "a monotone effect is 1, 0 or -1: got 'up'"),
        ({"categorical": "x"}, "Write categorical=['x']"),
        ({"interactions": "xy"}, "interactions is a list of lists"),
        ({"interactions": ["x", "y"]}, "each of interactions is a list of texts"),
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
    with pytest.raises(ConfigError) as caught:
        rp.XGBoost(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rp.XGBoost(5), "by name: got 5. Write XGBoost(rounds=5)."),
        (lambda: rp.EarlyStopping(5), "Write EarlyStopping(patience=5)."),
        (lambda: rp.EarlyStopping(metric=3), "metric is a text: got 3"),
        (lambda: rp.Sklearn("Ridge"), "Write Sklearn(estimator='Ridge')."),
        (lambda: rp.Sklearn(), "Sklearn needs estimator="),
        (lambda: rp.Sklearn(estimator=3), "unsupported estimator: got 3"),
        (lambda: rp.Sklearn(estimator="Ridge", alpha=3), 'Write params={"alpha": …}'),
        (lambda: rp.Sklearn(estimator="Ridge", params=3), "params is a mapping"),
        (lambda: rp.LightGBM(bagging_fraction=0.5), 'Write params={"bagging_fraction": …}'),
        (lambda: rp.LightGBM(objective=["binary"]), "unsupported objective"),
        (lambda: rp.LightGBM(metrics="auc"), "Write metrics=['auc']"),
        (lambda: rp.Schedule(0.1), "Write Schedule(start=0.1)."),
        (lambda: rp.Schedule(start="a", end=0.1), "a learning rate is in (0, 1]: got a"),
        (lambda: rp.Gate(rp.metrics.rmse, 0.7), "Write Gate(at_least=0.7)."),
        (lambda: rp.Gate(rp.metrics.rmse, at_leats=0.7), "Did you mean 'at_least'"),
        (lambda: rp.Gate(rp.metrics.rmse, at_least="x"), "at_least must be a number: got x"),
        (lambda: rp.Trainer(small.recipe()), "Trainer needs label="),
        (lambda: rp.Trainer(small.recipe(), lable="late"), "Did you mean 'label'"),
        (lambda: rp.Trainer(small.recipe(), label="l", max_depth=3), "learner=rp.XGBoost(max_"),
        (lambda: rp.Trainer("x", label="l"), "recipe= is one of rp.Recipe: got 'x'"),
        (lambda: rp.Trainer(small.recipe(), label=3), "label is a text: got 3"),
        (lambda: rp.Trainer(small.recipe(), label="l", learner=rp.XGBoost), "the settings of one"),
        (lambda: rp.Trainer(small.recipe(), label="l", learner="xgboost"), "the settings of one"),
        (lambda: rp.Trainer(small.recipe(), label="l", learner={}), "the settings of one"),
        (lambda: rp.Trainer(small.recipe(), label="l", early_stopping=5), "rp.EarlyStopping"),
        (lambda: rp.Trainer(small.recipe(), label="l", early_stopping=False), "rp.EarlyStopping"),
        (lambda: rp.Trainer(small.recipe(), label="l", base_margin=0), "base_margin is a list"),
        (lambda: rp.Trainer(small.recipe(), label="l", weight=5), "weight is a text: got 5"),
        (lambda: rp.Trainer(small.recipe(), label="l", base_margin=5), "base_margin is a list"),
    ],
)
def test_arguments_that_are_none_are_told_what_to_pass(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)


def test_a_class_with_checked_arguments_is_still_the_class() -> None:
    learner = rp.XGBoost(rounds=3)
    assert pickle.loads(pickle.dumps(learner)) == learner
    assert replace(learner, rounds=4).rounds == 4
    assert list(inspect.signature(rp.XGBoost).parameters)[:2] == ["rounds", "max_depth"]


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


@examples(deadline=None)
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


@examples(deadline=None)
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
