"""A model can be built again after a vacuum: what it was trained on is still there."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

import raypipe as rp
from raypipe.core.times import utc_now
from raypipe.retraining.reproduce import reproduce
from raypipe.training.holding import AFTERWARDS, LEASE, held
from tests import small

NOW = timedelta(0)


def test_pins_are_held_while_a_training_runs_and_a_day_longer(lake_root: str) -> None:
    lake = rp.Lake(lake_root)
    table = lake.table("t")
    for seed in range(2):
        table.overwrite(small.rows(seed=seed))
    with held((table.at(version=1), None), "abc"):
        (pin,) = lake.pins()
        assert (pin.version, pin.holder) == (1, "training abc")
        assert pin.until is not None
        assert pin.until - utc_now() <= LEASE
        table.overwrite(small.rows(seed=3))
        time.sleep(0.01)
        (kept,) = table.vacuum(retention=NOW).kept
        assert kept.holder == "training abc"
    (pin,) = lake.pins()
    assert pin.until is not None
    assert LEASE < pin.until - utc_now() <= AFTERWARDS
    assert table.at(version=1).frame().equals(small.rows(seed=0))


@pytest.mark.long
@pytest.mark.usefixtures("ray_session")
def test_a_registered_model_is_built_again_after_a_vacuum(lake_root: str) -> None:
    lake = rp.Lake(lake_root)
    table = lake.table("t")
    for seed in range(3):
        table.overwrite(small.rows(seed=seed))
    trainer = rp.Trainer(small.recipe(), label="late", learner=rp.XGBoost(rounds=5), num_workers=1)
    run = trainer.fit(table.at(version=2))
    version = rp.Registry(lake).register("delays", run)
    lake.unpin(f"training {run.id}")
    time.sleep(0.01)
    report = table.vacuum(retention=NOW)
    assert [k.holder for k in report.kept] == [f"model delays, run {run.id}"]
    assert report.gone == ((1, 2),)
    assert reproduce(version).identical
    with pytest.raises(rp.errors.LakeError, match="version 1"):
        table.at(version=1).frame()
