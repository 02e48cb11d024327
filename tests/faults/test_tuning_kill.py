"""A search whose processes are killed has the trials of one that nobody disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import raypipe as rp
from raypipe.training.tuning import engine
from raypipe.training.tuning import tuner as tuner_file
from raypipe.training.tuning.trials import TABLE
from tests.faults.tuning_run import fill, told, trainer, tuned

pytest.importorskip("optuna")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The trials of a search that was left alone."""
    return told(tuned(fill(str(tmp_path_factory.mktemp("whole") / "lake")), run_on="local"))


def driver(root: str, run_on: str = "local", fault: str | None = None) -> Any:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RAYPIPE_FAULT", "RAY_"))}
    if fault:
        env["RAYPIPE_FAULT"] = fault
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.tuning_run", root, run_on],
        cwd=ROOT,
        env={**env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize(
    ("fault", "kept"),
    [("tuning:round:33", None), ("tuning:before-trial:4", 3), ("tuning:after-trial:6", 6)],
)
def test_a_killed_driver(whole: list[Any], tmp_path: Path, fault: str, kept: int | None) -> None:
    root = str(tmp_path / "lake")
    process = driver(root, fault=fault)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    lake = rp.Lake(root)
    before = lake.table(TABLE).at().frame()
    if kept is not None:
        assert before.height == kept
    assert told(tuned(lake)) == whole
    after = lake.table(TABLE).at().frame()
    assert after.height == 10  # no trial that had ended ran again
    assert before.select("number", "at").equals(
        after.sort("number").head(before.height).select("number", "at")
    )


def test_ctrl_c(whole: list[Any], tmp_path: Path) -> None:
    lake = fill(str(tmp_path / "lake"))
    process = driver(lake.root)
    deadline = time.monotonic() + 60
    while not lake.table(TABLE).exists and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    if process.returncode == 0:  # it was quicker
        assert json.loads(out) == whole
    else:
        assert lake.table(TABLE).at().count() < 10
    assert told(tuned(lake)) == whole


def test_ray_tune_has_the_same_trials_when_a_trial_is_killed(
    ray_session: None, whole: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows come through the object store, and then from files of the node."""
    marker = tmp_path / "killed"
    monkeypatch.setenv("RAYPIPE_FAULT", "tuning:round:33")
    monkeypatch.setenv("RAYPIPE_FAULT_ONCE", str(marker))
    found = tuned(fill(str(tmp_path / "lake")), run_on="ray", num_samples=5)
    assert marker.exists()
    assert found.result is not None
    assert told(found) == whole[:5]
    monkeypatch.setattr(tuner_file, "_STORE_SHARE", 0.0)
    assert told(tuned(fill(str(tmp_path / "files")), run_on="ray", num_samples=5)) == whole[:5]


def test_a_search_begun_here_goes_on_with_ray_tune(
    ray_session: None, whole: list[Any], tmp_path: Path
) -> None:
    lake = fill(str(tmp_path / "lake"))
    tuned(lake, num_samples=6)
    found = tuned(lake, run_on="ray")
    assert told(found) == whole
    assert len(found.result) == 4


def test_a_population(ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = fill(str(tmp_path / "lake"))
    shared = tmp_path / "shared"  # as on a cluster of several machines
    run = engine.run_ray
    monkeypatch.setattr(engine, "run_ray", lambda *a, **k: run(*a, **{**k, "storage": str(shared)}))
    found = tuned(lake, scheduler="pbt", num_samples=6, workers=2)
    assert [t.number for t in found.trials] == list(range(6))
    assert {t.status for t in found.trials} == {"finished"}
    assert all(t.rounds == 20 for t in found.trials)
    assert all(1 <= t.params["max_depth"] <= 6 for t in found.trials)
    assert all(0.4 <= t.params["subsample"] <= 1.0 for t in found.trials)
    assert not shared.exists()  # what Ray Tune kept there is of no use any more
    assert told(tuned(lake, scheduler="pbt", num_samples=6)) == told(found)


def test_a_killed_driver_of_ray_tune(whole: list[Any], tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    process = driver(root, "ray", fault="tuning:after-trial:3")
    assert process.wait(timeout=120) == -signal.SIGKILL
    process.stdout.close()
    assert told(tuned(rp.Lake(root), trainer())) == whole
