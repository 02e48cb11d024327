"""Writers killed at named points and at random, beside rivals: the law of the lake.

What was acknowledged is there once. What was not is there once or not at all, and the same call
again makes it once. Nobody ever reads half a batch.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from raypipe.lake import Lake
from tests.faults import roles
from tests.faults.crew import Crew, Member

BATCHES, ROWS, REFUSED = 2, 4, 2
POINTS = ["after-files", "after-quarantine", "before-commit", "after-commit"]


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    made = Crew(tmp_path_factory.mktemp("crew") / "errors.txt")
    yield made
    made.close()


@dataclass
class Place:
    """A lake, and what the processes of one run write outside of it."""

    folder: Path
    crew: Crew

    @property
    def root(self) -> str:
        return str(self.folder / "lake")

    @property
    def acks(self) -> str:
        return str(self.folder / "acks")

    @property
    def stop(self) -> Path:
        return self.folder / "stop"

    @property
    def acknowledged(self) -> set[str]:
        path = Path(self.acks)
        return set(path.read_text().split()) if path.exists() else set()

    def appender(self, name: str, fault: str | None = None) -> Member:
        env = {"RAYPIPE_FAULT": f"lake:{fault}"} if fault else {}
        return self.crew.start(
            "append", env, root=self.root, acks=self.acks, name=name, batches=BATCHES, n=ROWS,
            refused=REFUSED,
        )  # fmt: skip


def sources(*names: str) -> list[str]:
    return [f"{name}{batch}" for name in names for batch in range(BATCHES)]


def generations(place: Place) -> dict[str, int]:
    """Every source that is in the table, each of them whole."""
    table = roles.table(place.root)
    if not table.exists:
        return {}
    sizes = dict.fromkeys(sources("v", "r"), ROWS)
    return roles.whole(table.at().frame(), sizes)


def settled(place: Place, told: str) -> None:
    """All that was to be written is there once, for any reader of Delta tables."""
    table = roles.table(place.root)
    expected = pl.concat([roles.rows(src, ROWS) for src in sources("r", "v")]).sort("src", "k")
    assert table.at().frame().sort("src", "k").equals(expected), told
    other = pl.scan_delta(table.uri).collect().sort("src", "k")
    assert other.select(expected.columns).equals(expected), told
    bad = table.quarantine().at().frame().sort("src", "k")
    assert bad["_batch"].to_list() == [s for s in sources("r", "v") for _ in range(REFUSED)], told
    for src in sources("v", "r"):
        again = table.append(roles.rows(src, 99), batch_id=src)
        assert (again.applied_before, again.rows, again.quarantined) == (True, ROWS, REFUSED), told


def run(place: Place, seed: int) -> None:
    """One victim, killed; rivals beside it; then the victim again."""
    draw = random.Random(seed)
    told = f"seed {seed}"
    sizes = dict.fromkeys(sources("v", "r"), ROWS)
    refused = dict.fromkeys(sources("v", "r"), REFUSED)
    reader = place.crew.start(
        "read", root=place.root, stop=str(place.stop), sizes=sizes, refused=refused
    )
    rival = place.appender("r")
    if draw.random() < 0.7:
        point = draw.choice(POINTS) + draw.choice(["", f":{BATCHES}"])
        victim = place.appender("v", point)
        assert victim.wait() == -signal.SIGKILL, f"{told}: {point} is not passed"
    else:
        victim = place.appender("v")
        time.sleep(draw.uniform(0.0, 0.25))
        victim.kill()
        victim.wait()
    before = place.acknowledged
    assert generations(place).keys() >= before, told
    assert place.appender("v").wait() == 0, told
    assert rival.wait() == 0, told
    place.stop.touch()
    assert reader.wait() == 0, f"{told}: {place.crew.log.read_text()[-2000:]}"
    assert place.acknowledged >= set(sources("v", "r")), told
    settled(place, told)


def test_killed_beside_rivals(crew: Crew, tmp_path: Path) -> None:
    for seed in range(50):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run(Place(folder, crew), seed)


def test_lake(lake_root: str) -> None:
    Lake(lake_root)
