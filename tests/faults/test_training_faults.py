"""Promise 1, for training: whatever is killed, the finished model is the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, RecipeError, ResourceError, SchemaError
from tests import small

ROUNDS = 30
DRIVER = """
import sys
import raypipe as rp
from tests.faults.test_training_faults import fit
print(fit(rp.Lake(sys.argv[1])).bundle.content_hash)
"""


def fill(root: str) -> rp.Lake:
    lake = rp.Lake(root)
    for part in range(3):
        lake.table("rows").append(small.rows(n=700, seed=part), batch_id=f"part-{part}")
    return lake


def fit(lake: rp.Lake, **settings: object) -> rp.Run:
    rows = lake.table("rows").at(version=3)  # as filled: a table begins at version 0, without rows
    trainer = rp.Trainer(
        small.recipe(),
        label="late",
        learner=rp.XGBoost(
            rounds=ROUNDS, max_depth=3, params={"subsample": 0.7, "colsample_bytree": 0.7}
        ),
        num_workers=2,
        seed=5,
        checkpoint_every=5,
        **settings,  # type: ignore[arg-type]
    )
    return trainer.fit(rows, valid=rows)


@pytest.fixture(scope="module")
def undisturbed(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> rp.Run:
    return fit(fill(str(tmp_path_factory.mktemp("undisturbed") / "lake")))


def test_the_run_is_whole(undisturbed: rp.Run) -> None:
    assert undisturbed.result is not None
    assert undisturbed.bundle.booster.num_boosted_rounds() == ROUNDS
    assert len(undisturbed.history["train"]["logloss"]) == ROUNDS
    assert len(undisturbed.history["valid"]["logloss"]) == ROUNDS
    assert (undisturbed.metrics["roc_auc"] or 0) > 0.7
    assert undisturbed.bundle.manifest["rows"] == 2100


def test_a_finished_run_is_read_back_and_its_snapshot_pins_it(
    undisturbed: rp.Run, ray_session: None, tmp_path: Path
) -> None:
    lake = fill(str(tmp_path / "lake"))
    first = fit(lake)
    lake.table("rows").append(small.rows(n=50, seed=9))
    again = fit(lake)
    assert again.result is None
    assert again.bundle.to_files() == first.bundle.to_files()
    assert first.bundle.content_hash == undisturbed.bundle.content_hash
    version = rp.Registry(lake).register("m", first)
    outcome = rp.reproduce(version)
    assert outcome.identical
    assert outcome.differing_packages == {}


def test_a_killed_worker_changes_no_byte(
    undisturbed: rp.Run, ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "killed"
    monkeypatch.setenv("RAYPIPE_FAULT", "training:round:13")
    monkeypatch.setenv("RAYPIPE_FAULT_ONCE", str(marker))
    run = fit(fill(str(tmp_path / "lake")))
    assert marker.exists()
    assert run.bundle.content_hash == undisturbed.bundle.content_hash
    assert run.history == undisturbed.history


def test_a_killed_driver_is_started_again_and_goes_on(undisturbed: rp.Run, tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    fill(root)
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    command = [sys.executable, "-c", DRIVER, root]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as driver:
        deadline = time.monotonic() + 120
        while not list(Path(root, "runs").glob("*/checkpoint_*")):
            assert driver.poll() is None, "the driver ended before its first checkpoint"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
    assert not list(Path(root, "runs").glob("*/finished/history.json"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == undisturbed.bundle.content_hash


def test_a_category_may_hold_what_xgboost_refuses(ray_session: None, tmp_path: Path) -> None:
    lake = rp.Lake(tmp_path / "lake")
    odd = small.rows(n=600).with_columns(
        color=pl.col("color").replace({"red": "[red]", "green": "<green", "blue": "{green"})
    )
    lake.table("rows").append(odd)
    run = rp.Trainer(small.recipe(), label="late", learner=rp.XGBoost(rounds=3)).fit(
        lake.table("rows").at()
    )
    assert "color=[red]" in run.bundle.recipe.feature_names
    assert len(set(run.bundle.booster.feature_names)) == len(run.bundle.recipe.feature_names)


def test_bad_input_is_refused_before_workers_start(ray_session: None, tmp_path: Path) -> None:
    lake = fill(str(tmp_path / "lake"))
    rows = lake.table("rows").at()
    with pytest.raises(ResourceError, match="can never start"):
        rp.Trainer(small.recipe(), label="late", num_workers=64).fit(rows)
    with pytest.raises(RecipeError):
        rp.Trainer(small.recipe(), label="lat").fit(rows)
    three = rp.Recipe(*small.recipe().transforms, rp.transforms.derive(grade=pl.col("x").floor()))
    with pytest.raises(RecipeError, match="must be 0, 1 or null"):
        rp.Trainer(three, label="grade").fit(rows.where(pl.col("x").is_between(-3, 3)))
    with pytest.raises(ConfigError, match="no validation rows"):
        rp.Trainer(small.recipe(), label="late").fit(rows, valid=rows.where(pl.col("x") > 1e9))
    with pytest.raises(SchemaError, match="lack a column"):
        rp.Trainer(small.recipe(), label="late").fit(rows, valid=rows.select("x", "late"))
    with pytest.raises((ConfigError, RecipeError)):
        rp.Trainer(small.recipe(), label="late").fit(rows.where(pl.col("x") > 1e9))
