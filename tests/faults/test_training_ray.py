"""Training on Ray Train: what it refuses, what Ctrl-C leaves, and a number of workers that changes.

Its kills are in ``test_training_kills.py``.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import RecipeError, ResourceError
from tests import small
from tests.faults import drivers
from tests.faults.training_run import drive, drive_nodes, fill, fit, kept


def test_more_workers_than_the_cluster_can_give(ray_session: None, tmp_path: Path) -> None:
    rows = fill(str(tmp_path / "lake")).table("rows").at()
    with pytest.raises(ResourceError, match="can never start"):
        rp.Trainer(small.recipe(), label="late", num_workers=64, run_on="ray").fit(rows)
    learner = rp.XGBoost(device="cuda")
    with pytest.raises(ResourceError, match="one GPU"):
        rp.Trainer(small.recipe(), label="late", learner=learner, run_on="ray").fit(rows)


def test_rows_that_cannot_be_learned_from_are_told_once(ray_session: None, tmp_path: Path) -> None:
    """Each of so many failures would take seconds."""
    table = rp.Lake(str(tmp_path / "lake")).table("rows")
    table.append(small.rows(n=60).with_columns(x=1.0 / pl.lit(0.0)))
    trainer = rp.Trainer(
        small.recipe(), label="late", learner=rp.XGBoost(rounds=2), run_on="ray", max_failures=1000
    )
    with pytest.raises(RecipeError, match="feature 'x' is infinite in a row") as told:
        trainer.fit(table.at())
    assert told.value.field == "x"


def test_ctrl_c_leaves_a_run_that_goes_on(ray_session: None, tmp_path: Path) -> None:
    """Begun on one Ray, broken off, and gone on with on another."""
    lake = fill(str(tmp_path / "lake"))
    given: dict[str, Any] = {"run_on": "ray", "pause": 0.2}
    driver = drivers.start(drive, lake.root, str(tmp_path / "out"), {}, given)
    while not list(tmp_path.glob("lake/runs/*/checkpoints/0*")):
        assert driver.is_alive()
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGINT)
    assert drivers.ended(driver) == 1
    (record,) = rp.Runs(lake).records()
    assert (record.status, record.error) == ("failed", "KeyboardInterrupt: ")
    run = rp.Trainer.resume(lake, record.run_id)
    assert run.facts["resumed_at"] > 0
    assert run.facts["ran_on"] == "ray"
    noted = (tmp_path / "out.notes").read_text()
    assert noted == kept(record.run_id, run.facts["resumed_at"])
    alone = fit(fill(str(tmp_path / "alone")), run_on="local")
    assert run.bundle.content_hash == alone.bundle.content_hash


def test_an_elastic_run_says_that_it_cannot_be_repeated(ray_session: None, tmp_path: Path) -> None:
    rows = fill(str(tmp_path / "lake")).table("rows").at()
    trainer = rp.Trainer(
        small.recipe(), label="late", learner=rp.XGBoost(rounds=5), num_workers=(1, 2)
    )
    run = trainer.fit(rows)
    assert run.facts["ran_on"] == "ray"
    assert run.bundle.manifest["reproducible"] is False
    assert run.bundle.booster.num_boosted_rounds() == 5


@pytest.mark.long
def test_an_elastic_run_goes_on_with_fewer_workers(tmp_path: Path) -> None:
    """Of two nodes with a worker each one is lost, and none comes in its place."""
    lake, marker, out = fill(str(tmp_path / "lake")), tmp_path / "killed", tmp_path / "out"
    kill = {"rank": 0, "at": 6, "after": False, "marker": str(marker)}
    given = {"num_workers": (1, 2), "run_on": "ray", "checkpoint_every": 1}
    assert drivers.run(drive_nodes, lake.root, str(out), kill, given) == 0
    assert marker.exists()
    (record,) = rp.Runs(lake).records()
    run = fit(lake, num_workers=(1, 2), run_on="ray", checkpoint_every=1)  # read back
    assert run.bundle.content_hash == json.loads(out.read_text())["hash"]
    assert run.bundle.manifest["reproducible"] is False
    assert record.rounds == run.facts["rounds"] == len(run.history["valid"]["auc"])
