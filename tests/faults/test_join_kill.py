"""The point-in-time join on Ray: a worker dies in mid-join, or the driver does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from raypipe.lake import Lake
from tests.faults import join_driver
from tests.faults.crew import HOME, await_marker


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where every process of this file, Ray's too, puts what is temporary."""
    tmp_path_factory.getbasetemp()  # other files use it after this folder is gone
    folder = Path(tempfile.mkdtemp(prefix="rp-join-", dir="/tmp"))  # sockets need a short path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def left_in(folder: Path) -> set[Path]:
    """What lies in it but pytest's own."""
    return {path for path in folder.iterdir() if not path.name.startswith("pytest-of-")}


@pytest.fixture(scope="module")
def session(temporary: Path, terminal: int) -> Iterator[set[Path]]:
    """A Ray, and what lies in the temporary folder once it runs."""
    from raypipe.engine import cluster, watch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "_STDERR", terminal)
        with cluster.session(cpus=4):
            yield left_in(temporary)


@pytest.fixture
def made(lake_root: str) -> str:
    join_driver.make(lake_root)
    return lake_root


def search_by_hand(root: str) -> pl.DataFrame:
    """What each row knows, by polars."""
    lake = Lake(root)
    rows = lake.table("rows").at().frame().with_row_index("row").sort("at")
    features = lake.table("features").at().frame()
    found = rows.join_asof(
        features.select("k", "at", "v").sort("at", maintain_order=True),
        on="at", by="k", check_sortedness=False,
    )  # fmt: skip
    told = (
        rows.select("row", "k", pl.col("at").alias("asked"))
        .join(features, on="k", maintain_order="left_right")
        .filter(pl.col("known") <= pl.col("asked"))
        .sort("row", "at", "known", maintain_order=True)
        .group_by("row").last().select("row", pl.col("v").alias("known_v"))
    )  # fmt: skip
    return found.join(told, on="row", how="left").sort("row").drop("row")


@pytest.mark.parametrize("step", ["search", "fetch"])
def test_a_worker_dies_and_the_join_is_whole(
    session: set[Path], temporary: Path, made: str, tmp_path: Path, step: str
) -> None:
    marker = tmp_path / "died"
    strike = join_driver.Strike(step, kill=True, marker=str(marker), driver=os.getpid())
    joined = join_driver.join(made, "ray", strike)
    assert marker.exists()
    right = search_by_hand(made)
    assert right["v"].null_count() < right.height / 10
    assert joined.equals(right)
    assert joined.equals(join_driver.join(made, "local", None))
    assert left_in(temporary) == session


@pytest.mark.parametrize("step", ["search", "fetch"])
def test_the_driver_dies_and_the_call_is_repeated(
    session: set[Path], temporary: Path, made: str, tmp_path: Path, step: str
) -> None:
    import ray

    marker = tmp_path / "reading"
    command = [sys.executable, "-m", "tests.faults.join_driver", made, step, str(marker)]
    address = ray.get_runtime_context().gcs_address
    env = {**os.environ, "PYTHONPATH": str(HOME), "RAY_ADDRESS": address}
    driver = subprocess.Popen(command, env=env, cwd=HOME)
    await_marker(marker, driver)
    driver.kill()
    assert driver.wait(300) == -signal.SIGKILL
    assert marker.exists()
    kept = Lake(made).table("joined")
    assert not kept.exists
    assert sorted(path.name for path in Path(made).iterdir()) == ["features", "rows"]
    join_driver.keep(made, None)
    assert kept.at().frame().equals(search_by_hand(made))
    assert kept.version() == 1  # made, and one batch
    assert left_in(temporary) == session
