"""Where a job runs, decided from plain figures."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from raypipe.core.errors import ConfigError
from raypipe.engine.parts import run_parts
from raypipe.engine.place import choose, reading_place

GB = 10**9


@pytest.mark.parametrize(
    ("run_on", "parts", "nbytes", "cpus", "place"),
    [
        ("local", 100, 100 * GB, 64, "local"),
        ("ray", 1, 0, None, "ray"),
        ("auto", 1, 100 * GB, 64, "local"),  # one part cannot be in two places
        ("auto", 100, 100 * GB, None, "local"),  # a Ray on this machine has no other cores
        ("auto", 100, 100 * GB, 64, "ray"),
        ("auto", 100, GB // 100, 64, "local"),
        ("auto", 100, 100 * GB, 2, "local"),
        ("auto", 2, GB, 64, "local"),  # two parts run at once here too
    ],
)
def test_the_choice(run_on: str, parts: int, nbytes: int, cpus: float | None, place: str) -> None:
    found = choose(run_on, parts=parts, nbytes=nbytes, cores=2, cluster_cpus=cpus)  # type: ignore[arg-type]
    assert found.place == place
    assert found.why
    with pytest.raises(ConfigError, match="place"):
        choose("moon", parts=parts, nbytes=nbytes, cores=2, cluster_cpus=cpus)  # type: ignore[arg-type]


@pytest.mark.parametrize(("asked", "read"), [("local", "local"), ("ray", "auto"), ("auto", "auto")])
def test_where_rows_are_looked_through(asked: Any, read: str) -> None:
    assert reading_place(asked) == read


def test_here_the_first_error_in_order_wins_and_the_rest_is_not_run() -> None:
    seen: list[int] = []

    def fail(number: int) -> int:
        seen.append(number)
        if number == 1:
            time.sleep(0.2)
        if number in (1, 2):
            raise ConfigError("no", number)
        return number

    with pytest.raises(ConfigError, match="got 1"):
        run_parts(fail, range(50), run_on="local", threads=2)
    assert len(seen) < 10


def test_here_parts_run_at_once_but_not_more_than_asked() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(number: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return number * 2

    assert run_parts(work, range(20), run_on="local", threads=3) == [n * 2 for n in range(20)]
    assert most == 3
