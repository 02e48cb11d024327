"""A search whose processes are killed has the trials of one that nobody disturbed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import TrainingError
from raypipe.training.tuning import engine
from raypipe.training.tuning import tuner as tuner_file
from raypipe.training.tuning.trials import TABLE
from tests.faults.tuning_run import INTERRUPTED, fill, told, trainer, tuned

pytest.importorskip("optuna")

ROOT = Path(__file__).parents[2]
AT = pl.Datetime("us")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The trials of a search that was left alone."""
    return told(tuned(fill(str(tmp_path_factory.mktemp("whole") / "lake")), run_on="local"))


def driver(
    root: str, run_on: str = "local", fault: str | None = None, **settings: Any
) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RAYPIPE_FAULT", "RAY_"))}
    if fault:
        env["RAYPIPE_FAULT"] = fault
    told_to_it = {"run_on": run_on, **settings}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.tuning_run", root, json.dumps(told_to_it)],
        cwd=ROOT,
        env={**env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # so that Ctrl-C can be sent as a terminal does, to all of it
    )


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=300)
    return process.returncode


@pytest.mark.parametrize(
    ("fault", "kept"),
    [("tuning:round:33", None), ("tuning:before-trial:4", 3), ("tuning:after-trial:6", 6)],
)
def test_a_killed_driver(whole: list[Any], tmp_path: Path, fault: str, kept: int | None) -> None:
    root = str(tmp_path / "lake")
    process = driver(root, fault=fault)
    assert ended(process) == -signal.SIGKILL
    lake = rp.Lake(root)
    table = lake.table(TABLE)  # a trial is written while the next one grows: there may be none yet
    before = (
        table.at().frame() if table.exists else pl.DataFrame(schema={"number": pl.Int64, "at": AT})
    )
    if kept is not None:
        assert before.height == kept
    assert told(tuned(lake)) == whole
    after = lake.table(TABLE).at().frame()
    assert after.height == 10  # no trial that had ended ran again
    assert before.select("number", "at").equals(
        after.sort("number").head(before.height).select("number", "at")
    )


@pytest.mark.parametrize("run_on", ["local", "ray"])
def test_ctrl_c(whole: list[Any], tmp_path: Path, run_on: str) -> None:
    """It is sent to the whole group of processes, as a terminal does; none is left over."""
    lake = fill(str(tmp_path / "lake"))
    process = driver(lake.root, run_on, num_samples=500)
    deadline = time.monotonic() + 300
    while not lake.table(TABLE).exists and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    noted, _ = process.communicate(timeout=300)
    assert process.returncode == INTERRUPTED
    before = lake.table(TABLE).at().frame()
    assert 1 <= before.height < 500
    (found,) = re.findall(r"^Search (\w+) is kept with (\d+) of 500 trials: the same ", noted, re.M)
    assert found == (before["tuning_id"][0], str(before["number"].n_unique()))
    assert told(tuned(lake)) == whole
    after = lake.table(TABLE).at().frame()
    assert after.height == max(10, before.height)
    assert (
        before.select("number", "at")
        .sort("number")
        .equals(after.sort("number").head(before.height).select("number", "at"))
    )


RANDOM = {"search": "random", "scheduler": "none"}  # trials depend on their number alone


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    lake = fill(str(tmp_path_factory.mktemp("drawn") / "lake"))
    return told(tuned(lake, run_on="local", **RANDOM))


def test_a_killed_driver_of_two_trials_at_once(drawn: list[Any], tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    process = driver(root, fault="tuning:before-trial:5", workers=2, **RANDOM)
    assert ended(process) == -signal.SIGKILL
    lake = rp.Lake(root)
    before = lake.table(TABLE).at().frame()
    assert before.height in (3, 4)  # the other thread may be about to write
    assert told(tuned(lake, workers=2, **RANDOM)) == drawn
    after = lake.table(TABLE).at().frame()
    assert after.height == 10
    assert set(before.select("number", "at").rows()) <= set(after.select("number", "at").rows())


def test_one_of_two_trials_at_once_is_killed_on_ray_tune(
    ray_session: None, drawn: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have the rows from files of their node, which are gone in the end."""
    marker = tmp_path / "killed"
    monkeypatch.setenv("RAYPIPE_FAULT", "tuning:round:23")
    monkeypatch.setenv("RAYPIPE_FAULT_ONCE", str(marker))
    monkeypatch.setattr(tuner_file, "_STORE_SHARE", 0.0)
    lake = fill(str(tmp_path / "lake"))
    found = tuned(lake, run_on="ray", num_samples=5, workers=2, **RANDOM)
    assert marker.exists()
    assert told(found) == drawn[:5]
    assert sorted(t.attempts for t in found.trials) == [1, 1, 1, 1, 2]
    limit = time.monotonic() + 120
    while list(Path(tempfile.gettempdir()).glob(f"raypipe-rows-{found.id}-*")):
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert lake.table(TABLE).at().count() == 5


def test_a_trial_whose_process_always_dies_is_a_row(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process dies in its round 25: the second trial of each, and then the same again."""
    monkeypatch.setenv("RAYPIPE_FAULT", "tuning:round:7")
    lake = fill(str(tmp_path / "lake"))
    with pytest.raises(TrainingError, match=r"all 1 trials failed: got its process failed 2 times"):
        tuned(lake, run_on="ray", num_samples=1)
    row = lake.table(TABLE).at().frame().row(0, named=True)
    assert (row["status"], row["attempts"]) == ("failed", 2)
    assert [rounds for rounds, _ in json.loads(row["history"])] == [2, 4, 6]


@pytest.mark.parametrize("run_on", ["local", pytest.param("ray", marks=pytest.mark.long)])
def test_trials_of_two_workers_go_on_from_their_checkpoints(tmp_path: Path, run_on: str) -> None:
    """The driver dies in the second training: the first is not repeated."""
    settings = {"num_samples": 2, **RANDOM}
    workers = {"num_workers": 2, "checkpoint_every": 4}
    plain = tuned(fill(str(tmp_path / "plain")), trainer(**workers), run_on="local", **settings)
    root = str(tmp_path / "lake")
    # Here two ranks of 20 rounds each pass; of Ray only the driver dies, and its workers with it.
    fault = "training:round:60" if run_on == "local" else "tuning:after-trial:1"
    process = driver(root, run_on, fault, trainer=workers, **settings)
    assert ended(process) == -signal.SIGKILL
    lake = rp.Lake(root)
    before = lake.table(TABLE).at().frame()
    assert before["number"].to_list() == [0]
    found = tuned(lake, trainer(**workers), run_on=run_on, **settings)
    assert told(found) == told(plain)
    assert lake.table(TABLE).at().count() == 2
    facts = rp.Runs(lake).list().frame
    assert facts.height == 2


def test_ray_tune_has_the_same_trials_when_a_trial_is_killed(
    ray_session: None, whole: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows come through the object store."""
    marker = tmp_path / "killed"
    monkeypatch.setenv("RAYPIPE_FAULT", "tuning:round:33")
    monkeypatch.setenv("RAYPIPE_FAULT_ONCE", str(marker))
    found = tuned(fill(str(tmp_path / "lake")), run_on="ray", num_samples=5)
    assert marker.exists()
    assert found.result is not None
    assert told(found) == whole[:5]


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
    found = tuned(lake, scheduler="pbt", num_samples=4, workers=2)
    assert [t.number for t in found.trials] == list(range(4))
    assert {t.status for t in found.trials} == {"finished"}
    assert all(t.rounds == 20 for t in found.trials)
    assert all(1 <= t.params["max_depth"] <= 6 for t in found.trials)
    assert all(0.4 <= t.params["subsample"] <= 1.0 for t in found.trials)
    assert not shared.exists()  # what Ray Tune kept there is of no use any more
    assert told(tuned(lake, scheduler="pbt", num_samples=4)) == told(found)


def test_a_killed_driver_of_ray_tune(whole: list[Any], tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    process = driver(root, "ray", fault="tuning:after-trial:3")
    assert ended(process) == -signal.SIGKILL
    assert told(tuned(rp.Lake(root), trainer())) == whole
