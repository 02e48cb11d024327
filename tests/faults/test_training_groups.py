"""A cluster that outlives its drivers has room for one run: a killed one must leave it free."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import raypipe as rp
from tests.faults import drivers
from tests.faults.training_run import (
    controller_below,
    drive,
    drive_resume,
    fill,
    fit,
    hold_cluster,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIVEN: dict[str, Any] = {"num_workers": 2, "run_on": "ray"}


class Held:
    """The cluster of two CPUs, as its own process tells of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holder = drivers.start(hold_cluster, str(folder), 2)
        self.until(lambda: (folder / "groups").exists())
        self.told = json.loads((folder / "cluster").read_text())
        self.env = {"RAY_ADDRESS": self.told["address"]}

    def groups(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / "groups").read_text())
        return found

    def until(self, done: Callable[[], object], beside: Any = None) -> None:
        """Waits, as long as the cluster is there, and a driver beside it."""
        limit = time.monotonic() + 300
        while not done():
            assert self._holder.is_alive()
            assert beside is None or beside.is_alive()
            assert time.monotonic() < limit
            time.sleep(0.02)

    def close(self) -> None:
        (self._folder / "stop").touch()
        drivers.ended(self._holder)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    with contextlib.closing(Held(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    lake = fill(str(tmp_path_factory.mktemp("whole") / "lake"))
    return fit(lake, num_workers=2, run_on="local").bundle.content_hash


def driven(held: Held, lake: rp.Lake, folder: Path, moment: str, pause: float) -> Any:
    """A driver whose workers have their CPUs, or are in the midst of the rounds."""
    held.until(lambda: held.groups()["alive"] == 0)
    given = {**GIVEN, "pause": pause}
    driver = drivers.start(drive, lake.root, str(folder / "out"), held.env, given)
    if moment == "started":
        held.until(lambda: held.groups()["created"], driver)
    else:
        held.until(lambda: list(folder.glob("lake/runs/*/checkpoints/0*")), driver)
    return driver


@pytest.mark.parametrize("moment", [pytest.param("started", marks=pytest.mark.long), "growing"])
def test_a_killed_driver_leaves_its_resources_to_the_next(
    held: Held, whole: str, tmp_path: Path, moment: str
) -> None:
    """It dies when its workers have their CPUs, or in the midst of the rounds."""
    lake, out = fill(str(tmp_path / "lake")), tmp_path / "out"
    driver = driven(held, lake, tmp_path, moment, 0.3)
    os.kill(driver.pid, signal.SIGKILL)
    assert drivers.ended(driver) == -signal.SIGKILL
    (record,) = rp.Runs(lake).records()
    assert record.status == "unfinished"
    assert drivers.run(drive_resume, lake.root, str(out), held.env, record.run_id) == 0
    found, facts = json.loads(out.read_text()).values()
    assert found == whole
    assert moment == "started" or facts["resumed_at"] > 0
    held.until(lambda: held.groups()["alive"] == 0 and held.groups()["free"] == 2.0)


@pytest.mark.long
@pytest.mark.parametrize("moment", ["started", "growing"])
def test_a_killed_controller_leaves_them_to_the_next(
    held: Held, whole: str, tmp_path: Path, moment: str
) -> None:
    """The same fit starts another. At the start Ray's own cleaner does not know the group yet."""
    lake, out = fill(str(tmp_path / "lake")), tmp_path / "out"
    driver = driven(held, lake, tmp_path, moment, 0.1)
    os.kill(controller_below(held.told["raylet"]), signal.SIGKILL)
    assert drivers.ended(driver) == 0
    found, facts = json.loads(out.read_text()).values()
    assert found == whole
    assert moment == "started" or len(facts["begun_at"]) >= 2
    held.until(lambda: held.groups()["alive"] == 0 and held.groups()["free"] == 2.0)
