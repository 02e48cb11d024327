"""Ray Train gives the bytes that this process gives, whichever of its processes is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import raypipe as rp
from raypipe.core.errors import ResourceError
from raypipe.engine import processes
from tests import small
from tests.faults.training_run import fill, fit

SLOW = {"checkpoint_every": 2, "run_on": "ray"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> rp.Run:
    """The same run in this process."""
    lake = fill(str(tmp_path_factory.mktemp("here") / "lake"))
    return fit(lake, num_workers=2, run_on="local")


def test_more_workers_than_the_cluster_can_give(ray_session: None, tmp_path: Path) -> None:
    rows = fill(str(tmp_path / "lake")).table("rows").at()
    began = time.monotonic()
    with pytest.raises(ResourceError, match="can never start"):
        rp.Trainer(small.recipe(), label="late", num_workers=64, run_on="ray").fit(rows)
    learner = rp.XGBoost(device="cuda")
    with pytest.raises(ResourceError, match="one GPU"):
        rp.Trainer(small.recipe(), label="late", learner=learner, run_on="ray").fit(rows)
    assert time.monotonic() - began < 10


def test_a_killed_worker_changes_no_byte(
    here: rp.Run, ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "killed"
    monkeypatch.setenv("RAYPIPE_FAULT", "training:round:9")
    monkeypatch.setenv("RAYPIPE_FAULT_ONCE", str(marker))
    run = fit(fill(str(tmp_path / "lake")), **SLOW)
    assert marker.exists()
    assert run.result is not None
    assert run.facts["ran_on"] == "ray"
    assert run.bundle.content_hash == here.bundle.content_hash
    assert run.history == here.history


def test_a_killed_controller_changes_no_byte(
    here: rp.Run, ray_session: None, tmp_path: Path
) -> None:
    """Its placement group outlives it; the next attempt must not wait for it."""
    lake = fill(str(tmp_path / "lake"))
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = {}
            for process in processes.descendants(os.getpid()):
                with contextlib.suppress(OSError):
                    found[Path(f"/proc/{process.pid}/cmdline").read_bytes()] = process.pid
            controller = [pid for name, pid in found.items() if b"TrainController" in name]
            if controller and any(b"RayTrainWorker" in name for name in found):
                os.kill(controller[0], signal.SIGKILL)
                killed.append(controller[0])
                return
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    run = fit(lake, **SLOW)
    thread.join()
    assert killed
    assert run.bundle.content_hash == here.bundle.content_hash


def test_an_elastic_run_says_that_it_cannot_be_repeated(ray_session: None, tmp_path: Path) -> None:
    rows = fill(str(tmp_path / "lake")).table("rows").at()
    trainer = rp.Trainer(
        small.recipe(), label="late", learner=rp.XGBoost(rounds=5), num_workers=(1, 2)
    )
    run = trainer.fit(rows)
    assert run.facts["ran_on"] == "ray"
    assert run.bundle.manifest["reproducible"] is False
    assert run.bundle.booster.num_boosted_rounds() == 5
