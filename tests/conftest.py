"""Fixtures that every test may use: one Ray for the whole run, a lake for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A local Ray, started once by the library itself and stopped at the end."""
    from raypipe.engine import cluster

    with cluster.session(cpus=4):
        yield


@pytest.fixture
def lake_root(tmp_path: Path) -> str:
    return str(tmp_path / "lake")
