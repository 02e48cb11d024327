"""Fixtures that every test may use: a Ray for all that need one, a lake for each test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Threads of OpenMP spin while they wait for each other. Where more threads than cores want to run,
# that takes a round of XGBoost from milliseconds to most of a second.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes tells of the machine, not of the law. The examples are the same each
# time, so that a change is judged by itself; the long suite draws new ones.
DRAWS = os.environ.get("RAYPIPE_TEST_DRAWS", "same")
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None)
settings.load_profile(DRAWS)


@pytest.fixture(scope="session")
def terminal(request: pytest.FixtureRequest) -> Iterator[int]:
    """The standard error of the run: what a test writes to its own is lost if the run ends here."""
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        own = os.dup(2)
    yield own
    os.close(own)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests that share a Ray come last: others may start, stop and kill their own."""
    on_ray = {item.path for item in items if "ray_session" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in on_ray)


@pytest.fixture(scope="session")
def ray_session(terminal: int) -> Iterator[None]:
    """A local Ray, started by the library itself, for all tests that ask for one.

    Starting it takes seconds, and so do its processes' first imports.
    """
    from raypipe.engine import cluster, watch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "_STDERR", terminal)
        with cluster.session(cpus=4):
            yield


@pytest.fixture
def lake_root(tmp_path: Path) -> str:
    return str(tmp_path / "lake")
