"""Writers killed at named points and at random, beside rivals: the law of the lake.

What was acknowledged is there once. What was not is there once or not at all, and the same call
again makes it once. Nobody ever reads half a batch.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.faults.crew import Crew
from tests.faults.lake_run import Run


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    made = Crew(tmp_path_factory.mktemp("crew") / "errors.txt")
    yield made
    made.close()


def runs(crew: Crew, folder: Path, seeds: Iterable[int]) -> None:
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        Run(place, crew, seed).go()
        shutil.rmtree(place)


def test_one_of_many_is_killed(crew: Crew, tmp_path: Path) -> None:
    runs(crew, tmp_path, range(16))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_one_of_many_is_killed_for_long(crew: Crew, tmp_path: Path) -> None:
    runs(crew, tmp_path, (*range(16, 50), *range(1000, 1200)))
