"""What a retraining comes to, with real tables and real models."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

import raypipe as rp
from raypipe.core.errors import CommitConflictError, SchemaError, TrainingError
from raypipe.monitoring.figures import Alert
from raypipe.retraining.retrain import RetrainingLog
from tests import small

NOW = datetime(2026, 1, 19)
ALWAYS = rp.Gate(rp.metrics.roc_auc, at_least=0.0)


def alert(version: int = 1, epoch: int = 0) -> Alert:
    return Alert(
        id=f"alert-{version}-{epoch}",
        model="m",
        version=version,
        epoch=epoch,
        window_start=NOW - timedelta(days=7),
        window_end=NOW,
        cause="drift",
        columns=("x",),
        log_e=10.0,
        message="x drifted",
    )


def run(seed: int) -> small.SmallRun:
    return small.train(small.rows(seed=seed), small.rows(seed=50))


@pytest.fixture
def lake(lake_root: str) -> rp.Lake:
    lake = rp.Lake(lake_root)
    rp.Registry(lake).register("m", run(1)).promote()
    return lake


def endings(lake: rp.Lake) -> list[tuple[str, int | None]]:
    rows, _ = RetrainingLog(lake, "m").read()
    return [(row["kind"], row["to_version"]) for row in rows]


def champion(lake: rp.Lake) -> int:
    version = rp.Registry(lake).champion("m")
    assert version is not None
    return version.version


def test_a_better_candidate_goes_into_service_once(lake: rp.Lake) -> None:
    trained: list[datetime] = []

    def pipeline(_: rp.Lake, now: datetime) -> Any:
        trained.append(now)
        return run(2)

    react = rp.Retrain(pipeline, gate=ALWAYS)
    assert react(lake, alert(), NOW) == "handled"
    assert react(lake, alert(), NOW + timedelta(days=1)) == "handled"
    assert trained == [NOW]
    assert endings(lake) == [("started", None), ("promoted", 2)]
    assert champion(lake) == 2


def test_a_candidate_that_does_not_beat_the_champion_is_refused(lake: rp.Lake) -> None:
    weak = small.train(small.rows(n=12, noise=50.0), small.rows(seed=50))
    react = rp.Retrain(lambda *_: weak)
    assert react(lake, alert(), NOW) == "handled"
    assert endings(lake) == [("started", None), ("refused", None)]
    assert champion(lake) == 1
    assert react(lake, alert(epoch=1), NOW) == "deferred"  # a refused one cools down too


def test_the_same_run_again_changes_nothing(lake: rp.Lake) -> None:
    assert rp.Retrain(lambda *_: run(1), gate=ALWAYS)(lake, alert(), NOW) == "handled"
    assert endings(lake) == [("started", None), ("unchanged", 1)]


def test_an_older_version_has_to_pass_the_gate_again(lake: rp.Lake) -> None:
    weak = small.train(small.rows(n=12, noise=50.0), small.rows(seed=50))
    registry = rp.Registry(lake)
    registry.register("m", weak)
    registry.register("m", run(3)).promote()
    assert rp.Retrain(lambda *_: weak)(lake, alert(version=3), NOW) == "handled"
    assert endings(lake)[-1] == ("refused", 2)
    assert champion(lake) == 3


def test_a_fault_of_the_users_ends_it_and_another_is_tried_again(lake: rp.Lake) -> None:
    def no_column(*_: Any) -> Any:
        raise SchemaError("there is no column", "z", "Name another.", "z")

    def no_worker(*_: Any) -> Any:
        raise TrainingError("a worker died")

    with pytest.raises(TrainingError):
        rp.Retrain(no_worker)(lake, alert(), NOW)
    assert endings(lake) == [("started", None)]
    assert rp.Retrain(no_column)(lake, alert(), NOW) == "handled"
    assert endings(lake) == [("started", None), ("failed", None)]


def test_an_alert_of_a_replaced_version_starts_nothing(lake: rp.Lake) -> None:
    rp.Registry(lake).register("m", run(2)).promote()
    assert rp.Retrain(lambda *_: run(3), gate=ALWAYS)(lake, alert(version=1), NOW) == "handled"
    assert endings(lake) == []


def test_one_start_is_written_whoever_is_first(lake: rp.Lake) -> None:
    log = RetrainingLog(lake, "m")
    log.start(alert(), NOW, if_version=-1)
    with pytest.raises(CommitConflictError):
        log.start(alert(), NOW + timedelta(days=1), if_version=-1)
    decided: list[datetime] = []

    def pipeline(_: rp.Lake, now: datetime) -> Any:
        decided.append(now)
        return run(2)

    def work(day: int) -> None:
        rp.Retrain(pipeline, gate=ALWAYS)(rp.Lake(lake.root), alert(), NOW + timedelta(days=day))

    threads = [threading.Thread(target=work, args=(day,)) for day in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(decided) == {NOW}
    assert endings(lake) == [("started", None), ("promoted", 2)]
