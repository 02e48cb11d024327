"""Lags and windows through files: the driver is killed while they are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raypipe.features.history import buckets, fill
from raypipe.lake import Lake
from tests.faults import history_driver
from tests.faults.crew import HOME, await_marker


@pytest.mark.parametrize("kind", ["rows", "filled"])
def test_the_driver_dies_and_the_call_is_repeated(
    lake_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(fill, "SMALL", fill.SMALL)  # keep() sets both
    monkeypatch.setattr(buckets, "ROWS", buckets.ROWS)
    history_driver.make(lake_root)
    folder, marker = tmp_path / "spill", tmp_path / "written"
    folder.mkdir()
    asked = [lake_root, str(folder), kind, str(marker)]
    command = [sys.executable, "-m", "tests.faults.history_driver", *asked]
    driver = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(HOME)}, cwd=HOME)
    await_marker(marker, driver)
    driver.kill()
    assert driver.wait(300) == -signal.SIGKILL
    assert marker.exists()
    (left,) = folder.iterdir()
    assert any(path.name.startswith(kind) for path in left.iterdir())
    assert not Lake(lake_root).table("filled").exists
    old = time.time() - 3_600  # a folder of less than a minute may not be locked yet
    os.utime(left / "owner.lock", (old, old))
    history_driver.keep(lake_root, str(folder))
    assert not list(folder.iterdir())  # the killed one's is gone, too
    events = Lake(lake_root).table("events").at().frame()
    kept = Lake(lake_root).table("filled").at().frame()
    assert kept.equals(history_driver.RECIPE.with_history(events))
