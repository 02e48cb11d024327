"""A loop of the user's own on Ray Train: its rows, its checkpoints, its model, its deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, TrainingError
from raypipe.serving.live import LiveVersion
from raypipe.training import fitting
from raypipe.training.checkpoints import Checkpoints
from raypipe.training.loops.reports import Reports
from raypipe.training.state import State
from tests import loop_of_ours, small
from tests.faults.loop_run import ROUNDS, fit
from tests.faults.training_run import fill

HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> rp.Lake:
    return fill(str(tmp_path_factory.mktemp("lake")))


@pytest.fixture(scope="module")
def run(ray_session: None, lake: rp.Lake) -> rp.Run:
    return fit(lake)


def by_hand(lake: rp.Lake) -> np.ndarray:
    """The same steps on all rows at once."""
    frame = lake.table("rows").at(version=3).frame()
    fitted = small.recipe().fit(frame, label="late")
    x, y = fitted.transform(frame).to_numpy(), fitted.labels(frame).to_numpy()
    x, weights = np.column_stack([x, np.ones(len(x))]), np.zeros(x.shape[1] + 1)
    for _ in range(ROUNDS):
        weights -= x.T @ (1 / (1 + np.exp(-x @ weights)) - y) / len(y)
    return weights


def test_it_learns_of_all_rows_what_one_process_would(lake: rp.Lake, run: rp.Run) -> None:
    assert run.bundle.native == pytest.approx(by_hand(lake), rel=1e-6)
    assert run.history["train"]["rows"] == [2100.0] * ROUNDS
    losses = run.history["train"]["logloss"]
    assert losses == sorted(losses, reverse=True)
    assert (run.metrics["roc_auc"] or 0) > 0.7
    assert run.facts["ran_on"] == "ray"
    assert len(run.bundle.manifest["shards"]) == 2
    assert run.bundle.manifest["reproducible"] is False
    assert run.bundle.manifest["learner"]["load"] == "tests.loop_of_ours:load"


def test_the_plain_result_and_its_checkpoints_in_the_lake(lake: rp.Lake, run: rp.Run) -> None:
    assert run.result is not None
    assert run.result.metrics["rows"] == 2100.0
    with run.result.checkpoint.as_directory() as folder:
        assert loop_of_ours.load(folder).tolist() == run.bundle.native.tolist()
    found = lake.files.list(f"runs/{run.id}/train-{run.id}")
    assert len({path.split("/")[3] for path in found if "/checkpoint_20" in path}) == 2
    assert run.result.checkpoint.path + "/model.json" in found


def test_a_driver_that_died_when_the_loop_had_ended(
    lake: rp.Lake, run: rp.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop is not run again, and the run is told of once."""

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        lake.files.delete(f"runs/{run.id}/finished")
        lake.files.delete(f"runs/{run.id}/reports.json")
        state = State(model=run.bundle.model, rounds=ROUNDS, history=run.history, done=True)
        Checkpoints(lake, run.id).save(state)
        patch.setattr(fitting, "keep_finished", die)
        with pytest.raises(Died):
            fit(lake)
    again = fit(lake)
    assert again.result is None
    assert again.bundle.to_files() == run.bundle.to_files()
    assert Checkpoints(lake, run.id).names() == []
    assert rp.Runs(lake).get(run.id).rounds == ROUNDS


def test_what_is_told_of_the_run(lake: rp.Lake, run: rp.Run) -> None:
    record = rp.Runs(lake).get(run.id)
    assert (record.status, record.rounds, record.rows) == ("finished", ROUNDS, 2100)
    assert record.logs == f"runs/{run.id}/train-{run.id}"
    assert record.params["learner"]["config"] == {"rounds": ROUNDS, "rate": 1.0}
    rows = rp.Runs(lake).history(run.id).filter(pl.col("metric") == "logloss")
    assert rows["value"].to_list() == run.history["train"]["logloss"]
    assert "<svg" in rp.Runs(lake).curves(run.id, metric="logloss")._repr_html_()


def test_it_is_registered_served_and_rebuilt(lake: rp.Lake, run: rp.Run) -> None:
    gate = rp.Gate(rp.metrics.roc_auc, at_least=0.7)
    version = rp.Registry(lake).register("loop", run, gate=gate)
    bundle = rp.Registry(lake).version("loop", 1).bundle
    frame = small.rows(n=30, seed=9)
    asked = frame.select(list(bundle.recipe.inputs)).rows(named=True)
    assert LiveVersion(1, bundle).score(asked) == run.bundle.predict(frame).tolist()
    again = rp.reproduce(version)
    assert again.identical
    assert not again.promised
    assert str(again) == "the same bytes; the run did not promise them"


def test_a_killed_worker_goes_on_from_the_last_checkpoint(
    lake: rp.Lake, run: rp.Run, tmp_path: Path
) -> None:
    marker = str(tmp_path / "killed")
    after = fit(lake, killed_in=4, marker=marker)
    assert Path(marker).exists()
    assert after.id != run.id
    assert after.bundle.content_hash == run.bundle.content_hash
    assert after.history == run.history


def test_a_killed_driver_goes_on_from_the_last_checkpoint(run: rp.Run, tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "RAYPIPE_"))}
    command = [sys.executable, "-m", "tests.faults.loop_run", root]
    with subprocess.Popen(
        command, cwd=HERE, env=kept, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as driver:
        deadline, reports = time.monotonic() + 400, None
        while time.monotonic() < deadline and driver.poll() is None:
            ids = list(Path(root, "runs").glob("*")) if Path(root, "runs").exists() else []
            reports = Reports(rp.Lake(root), ids[0].name) if ids else None
            if reports is not None and len(reports.read()) >= 2:
                break
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
    assert reports is not None, driver.returncode
    (run_id,) = (one.name for one in Path(root, "runs").iterdir())
    if not Path(root, "runs", run_id, "finished", "history.json").exists():
        assert rp.Runs(rp.Lake(root)).get(run_id).status == "unfinished"
    after = rp.Trainer.resume(rp.Lake(root), run_id)
    assert after.facts["resumed_at"] >= 2
    assert after.bundle.content_hash == run.bundle.content_hash
    assert after.history["train"]["logloss"][-1] == run.history["train"]["logloss"][-1]


@pytest.mark.long
def test_xgboost_by_hand(ray_session: None, lake: rp.Lake) -> None:
    learner = rp.TrainLoop(
        "tests.loop_of_ours:boost",
        config={"rounds": 5},
        load="tests.loop_of_ours:load_booster",
        predict="tests.loop_of_ours:predict_booster",
        backend="xgboost",
    )
    rows = lake.table("rows").at(version=3)
    trainer = rp.Trainer(small.recipe(), label="late", learner=learner, num_workers=2, seed=7)
    made = trainer.fit(rows, rows)
    assert made.bundle.native.num_boosted_rounds() == 5
    assert made.history["valid"]["rows"] == [1050.0]
    own = rp.XGBoost(rounds=5, learning_rate=0.3, sketch="xgboost")
    other = rp.Trainer(
        small.recipe(), label="late", learner=own, num_workers=2, seed=7, run_on="local"
    ).fit(rows)
    frame = rows.frame()
    # the trees are those of the learner that raypipe has itself
    assert np.array_equal(made.bundle.predict(frame), other.bundle.predict(frame))


@pytest.mark.long
def test_a_loop_without_a_model_says_what_is_missing(ray_session: None, lake: rp.Lake) -> None:
    rows = lake.table("rows").at(version=3)
    learner = rp.TrainLoop(loop_of_ours.without_checkpoint)
    with pytest.raises(TrainingError, match="ended without a checkpoint: got 1 reports"):
        rp.Trainer(small.recipe(), label="late", learner=learner).fit(rows)


def test_rows_reach_the_workers_as_the_recipe_makes_them(
    ray_session: None, lake: rp.Lake, tmp_path: Path
) -> None:
    rows = lake.table("rows").at(version=3)
    learner = rp.TrainLoop(loop_of_ours.shows_rows, config={"size": 100})
    run = rp.Trainer(small.recipe(), label="late", learner=learner, num_workers=3).fit(rows)
    assert run.result is not None
    run.result.checkpoint.to_directory(str(tmp_path))
    files = sorted(tmp_path.glob("*.parquet"))
    frames = [pl.read_parquet(file) for file in files]
    assert {file.name[0] for file in files} == {"0", "1", "2"}
    made = pl.concat(frames)
    expected = run.bundle.recipe.transform(rows.frame())
    assert made.select(expected.columns).equals(expected)
    with pytest.raises(ConfigError, match="nothing says how this model is loaded"):
        rp.Registry(lake).register("rows", run)
    assert rp.Registry(lake).versions("rows") == []
