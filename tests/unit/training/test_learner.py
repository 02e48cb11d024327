from __future__ import annotations

from typing import Any

import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError
from tests import small


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "rounds must be a whole number >= 1: got 0"),
        ({"max_depth": 1.5}, "max_depth"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"params": {"seed": 3}}, "raypipe sets seed itself"),
        ({"params": {"nthread": 3}}, "cpus_per_worker"),
        ({"params": {"objective": "reg:squarederror"}}, "unsupported objective"),
    ],
)
def test_bad_settings_are_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rp.XGBoost(**settings)


def test_round_trip() -> None:
    learner = rp.XGBoost(rounds=5, params={"subsample": 0.5})
    assert rp.XGBoost.from_dict(learner.to_dict()) == learner
    assert learner.booster_params(seed=4, threads=2)["seed_per_iteration"] is True
    with pytest.raises(ConfigError, match="unknown learner"):
        rp.XGBoost.from_dict({"name": "forest"})


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"num_workers": 0}, "num_workers"),
        ({"cpus_per_worker": 0}, "cpus_per_worker"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
    ],
)
def test_a_trainer_checks_its_settings(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rp.Trainer(small.recipe(), label="late", **settings)
    assert caught.value.field == field
