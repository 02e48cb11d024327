"""Parts on Ray: a worker dies in mid-part, the driver dies, or both at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults import ray_driver, roles
from tests.faults.crew import HOME, await_marker
from tests.faults.ray_driver import PARTS, ROWS


def whole(root: str) -> None:
    table = roles.table(root)
    rows, bad = table.at().frame(), table.quarantine().at().frame()
    assert roles.whole(rows, {f"p{part}": ROWS for part in range(PARTS)}).keys() == {
        f"p{part}" for part in range(PARTS)
    }
    assert bad.height == 2 * PARTS
    assert table.version() == 1
    assert table.append(rows, batch_id="all").applied_before


def files_of(table_root: str) -> list[str]:
    return sorted(path.name for path in Path(table_root, "t").glob("*.parquet"))


@pytest.mark.parametrize("point", ["lake:before-write", "lake:mid-file"])
def test_a_worker_dies_and_its_part_runs_again(
    ray_session: None, tmp_path: Path, lake_root: str, point: str
) -> None:
    files, marker = ray_driver.sources(tmp_path / "raw"), tmp_path / "died"
    ray_driver.write(lake_root, files, point, str(marker))
    assert marker.exists()
    whole(lake_root)
    # The part that ran again took the names of its first run: there is no file too many.
    assert len(files_of(lake_root)) == len(roles.table(lake_root).at().parts())


def driver_dies(tmp_path: Path, lake_root: str, seed: int) -> None:
    import ray

    draw = random.Random(seed)
    files, marker = ray_driver.sources(tmp_path / "raw"), tmp_path / f"died{seed}"
    acks = tmp_path / f"acks{seed}"
    both = draw.random() < 0.5
    point = draw.choice(["lake:before-write", "lake:mid-file"]) if both else ""
    fault = draw.choice(["lake:after-files", "lake:before-commit", "lake:inside-commit:3", ""])
    fault = "" if both else fault
    env = {
        **os.environ,
        "PYTHONPATH": str(HOME),
        "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
        **({"RAYPIPE_FAULT": fault} if fault else {}),
    }
    command = [sys.executable, "-m", "tests.faults.ray_driver", lake_root, files, point]
    driver = subprocess.Popen([*command, str(marker), str(acks)], env=env, cwd=HOME)
    if both:  # the driver follows the worker at once
        await_marker(marker, driver)
        time.sleep(draw.uniform(0, 0.2))
        driver.kill()
    elif not fault:
        while not Path(lake_root).exists() and driver.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        driver.kill()
    ended = driver.wait(300)
    assert ended == (-signal.SIGKILL if fault or both else ended), (seed, fault, ended)
    table = roles.table(lake_root)
    if acks.exists():
        assert table.has_batch("all")
    if table.exists:
        assert table.at().count() in (0, PARTS * ROWS)
    ray_driver.write(lake_root, files, "", "")
    whole(lake_root)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_driver_dies_and_perhaps_a_worker(
    ray_session: None, tmp_path: Path, lake_root: str, seed: int
) -> None:
    driver_dies(tmp_path, lake_root, seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_drivers_die_for_long(ray_session: None, tmp_path: Path) -> None:
    for seed in range(100, 130):
        driver_dies(tmp_path, str(tmp_path / f"lake{seed}"), seed)
