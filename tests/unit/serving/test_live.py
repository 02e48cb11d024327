"""Which version is in service: followed from the registry, and not taken at any price."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from raypipe.serving.live import LiveModels
from raypipe.serving.log_table import log_schema

if TYPE_CHECKING:
    from types import SimpleNamespace

    from raypipe.lake import Lake
    from raypipe.registry import Registry
    from raypipe.serving.signature import Signature

Maker = Callable[..., LiveModels]


@pytest.fixture
def make(small: tuple[Lake, Registry], kit: SimpleNamespace) -> Iterator[Maker]:
    made: list[LiveModels] = []

    def one(admit: Callable[[Signature], None] = lambda _: None) -> LiveModels:
        made.append(LiveModels(small[1], kit.model, admit, timedelta(milliseconds=20), 2))
        return made[-1]

    yield one
    for models in made:
        models.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_version_that_is_not_taken_is_tried_again_with_growing_pauses(
    small: tuple[Lake, Registry], make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, registry = small
    monkeypatch.setattr("raypipe.serving.live._RETRY_S", 0.2)
    monkeypatch.setattr("raypipe.serving.live._LONGEST_RETRY_S", 0.8)
    models = make()
    tries: list[float] = []
    load = models._load

    def watched(number: int) -> Any:
        tries.append(time.monotonic())
        return load(number)

    monkeypatch.setattr(models, "_load", watched)
    whole = lake.files.get("models/delays/run-8/model.ubj")
    lake.files.put("models/delays/run-8/model.ubj", b"other bytes")
    registry.promote("delays", 2)
    until(lambda: len(tries) == 5)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    for pause, least in zip(pauses, (0.2, 0.4, 0.8, 0.8), strict=True):
        assert pause >= least
    lake.files.put("models/delays/run-8/model.ubj", whole)
    monkeypatch.setattr("raypipe.serving.live._LONGEST_RETRY_S", 60.0)
    registry.rollback("delays")  # the registry changed: no pause
    until(lambda: models.error is None)
    registry.promote("delays", 2)
    until(lambda: models.current.number == 2)


def test_a_registry_that_cannot_be_read_is_asked_again_soon_and_refuses_no_version(
    small: tuple[Lake, Registry], make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raypipe.serving.live._RETRY_S", 0.05)
    models = make()
    with monkeypatch.context() as outage:
        asked: list[int] = []

        def refuse() -> int:
            asked.append(1)
            raise OSError("gone")

        outage.setattr(small[1], "revision", refuse)
        until(lambda: len(asked) > 10)
        assert "gone" in str(models.error)
        assert models.refused is None
    until(lambda: models.error is None)
    assert models.alive


def test_a_version_with_other_inputs_than_the_log_is_not_taken(
    small: tuple[Lake, Registry], make: Maker, kit: SimpleNamespace
) -> None:
    _, registry = small
    present: dict[str, Any] = {}

    def admit(signature: Signature) -> None:
        present.update(log_schema(signature.features, present or None))

    models = make(admit)
    version = registry.register(kit.model, kit.run(id="run-wind", bundle=kit.other_inputs()))
    version.promote()
    until(lambda: models.refused == version.version)
    assert "'wind'" in str(models.error)
    assert models.current.number == 1
    registry.rollback(kit.model)
    until(lambda: models.refused is None)
