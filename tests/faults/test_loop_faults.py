"""Promise 1, from prediction to retrained version: a kill anywhere changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults import drivers, loop_scenario


def start(root: Path, fault: str = "") -> int:
    return drivers.run(loop_scenario.drive, str(root), fault)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("undisturbed")
    loop_scenario.run(str(root))
    return loop_scenario.outcome(str(root))


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    loop_scenario.run(str(tmp_path))
    first = loop_scenario.outcome(str(tmp_path))
    loop_scenario.run(str(tmp_path))
    assert loop_scenario.outcome(str(tmp_path)) == first


def test_the_loop_does_something(undisturbed: dict[str, Any]) -> None:
    assert [(kind, version) for kind, version, _ in undisturbed["events"]] == [
        ("registered", 1),
        ("promoted", 1),
        ("registered", 2),
        ("promoted", 2),
    ]
    assert [alert["version"] for alert in undisturbed["alerts"]] == [1]
    assert undisturbed["alerts"][0]["columns"] == ["x"]
    assert len(undisturbed["retrainings"]) == 2
    assert len(undisturbed["predictions"]) == 1200


@pytest.mark.parametrize(
    "fault",
    [
        "monitor:after-window",
        "monitor:after-window:3",
        "monitor:after-alert",
        "retraining:after-start",
        "retraining:after-training",
        "registry:after-files:2",
        "retraining:after-register",
        "retraining:after-promote",
        "lake:before-commit:6",
        "lake:after-commit:9",
        "lake:after-files:12",
    ],
)
def test_a_kill_changes_nothing(fault: str, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    assert start(tmp_path, fault) == -9, "the point was not reached"
    assert start(tmp_path) == 0
    assert loop_scenario.outcome(str(tmp_path)) == undisturbed


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 40))
def test_a_kill_at_any_commit_changes_nothing(
    number: int, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    point = ("lake:after-files", "lake:before-commit", "lake:after-commit")[number % 3]
    assert start(tmp_path, f"{point}:{number // 3 + 1}") == -9
    assert start(tmp_path) == 0
    assert loop_scenario.outcome(str(tmp_path)) == undisturbed
