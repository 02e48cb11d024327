"""The prediction log stays bounded, and nobody who reads it notices."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import LakeError
from raypipe.lake import Lake
from raypipe.monitoring.watcher import Watcher
from raypipe.serving import log_upkeep
from raypipe.serving.log import PredictionLog
from raypipe.serving.log_table import find_answer, log_schema, predictions
from raypipe.serving.log_upkeep import COMPACT_EVERY, VACUUM_EVERY, LogUpkeep, tasks, tend
from tests import small
from tests.faults.loop_scenario import START, WEEK
from tests.faults.loop_scenario import predictions as week_of_predictions
from tests.unit.monitoring.test_watcher import CONFIG
from tests.unit.serving.test_log import SIGNATURE, entry


def test_what_is_due_after_a_version() -> None:
    due = [version for version in range(COMPACT_EVERY * 3) if tasks(version)[0]]
    assert due == [COMPACT_EVERY, 2 * COMPACT_EVERY]
    assert tasks(VACUUM_EVERY) == (True, True)
    assert tasks(0) == (False, False)


def test_the_log_is_compacted_while_it_is_written(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_upkeep, "COMPACT_EVERY", 60)
    lake = Lake(lake_root)
    log = PredictionLog(lake, "m", "durable", timedelta(0))
    log.admit(SIGNATURE)
    for number in range(65):
        log.add(entry(f"r{number}")).result(120)
    if log._upkeep._thread is not None:
        log._upkeep._thread.join(120)
    log.close()
    table = lake.table("m__predictions")
    assert len(table.at().parts()) < 12
    ids = predictions(lake, "m").collect()["request_id"].to_list()
    assert ids == [f"r{number}" for number in range(65) for _ in range(2)]
    again = find_answer(lake, "m", entry("r3").parsed)
    assert again is not None
    assert again.scores == [0.5, 0.5]
    spec = table.at()._pinned.spec
    assert spec.properties["delta.setTransactionRetentionDuration"] == "interval 1 hours"


def test_an_answer_does_not_wait_for_the_upkeep(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, began = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> None:
        began.set()
        hold.wait(20)

    monkeypatch.setattr(log_upkeep, "COMPACT_EVERY", 1)
    monkeypatch.setattr(log_upkeep, "tend", slow)
    log = PredictionLog(Lake(lake_root), "m", "durable", timedelta(0))
    log.admit(SIGNATURE)
    for number in range(5):  # all but the first find an upkeep under way, and start none
        assert log.add(entry(f"r{number}")).result(120)
    assert began.is_set()
    assert not hold.is_set()
    hold.set()
    log.close()


def test_a_failing_upkeep_is_said_and_no_row_fails(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Any) -> None:
        raise LakeError("no")

    monkeypatch.setattr("raypipe.lake.table_upkeep.TableUpkeep.tidy", broken)
    tend(Lake(lake_root), "m", vacuum=False)
    assert "was not tended" in caplog.text
    upkeep = LogUpkeep(Lake(lake_root), "m")
    upkeep.after_commit(COMPACT_EVERY)
    assert upkeep._thread is not None
    upkeep._thread.join(120)


@pytest.mark.usefixtures("ray_session")
def test_with_ray_the_upkeep_runs_in_another_process(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    lake = Lake(lake_root)
    table = lake.table("m__predictions")
    for number in range(60):
        table.append(pl.DataFrame({"n": [number]}))
    upkeep = LogUpkeep(lake, "m")
    upkeep.after_commit(COMPACT_EVERY)
    assert upkeep._thread is None
    ray.get(upkeep._task)
    assert not upkeep._busy()
    assert len(table.at().parts()) == 1
    assert table.at().frame()["n"].to_list() == list(range(60))


def test_a_watcher_sees_each_prediction_once_and_loses_none(lake_root: str, tmp_path: Path) -> None:
    figures = []
    for compacted in (False, True):
        lake = Lake(str(tmp_path / str(compacted)))
        rp.Registry(lake).register("m", small.train(small.rows(), small.rows(seed=1))).promote()
        table = lake.table("m__predictions")
        watcher = Watcher(lake, "m", CONFIG, lambda *_: "deferred", START)
        for week in range(2):
            rows = week_of_predictions(week)
            for start in range(0, rows.height, 10):
                table.append(rows[start : start + 10], batch_id=f"{week}:{start}")
            # told again under another version: of both rows the first in order counts
            again = rows[:20].with_columns(version=pl.lit(7, dtype=pl.Int64))
            table.append(again, batch_id=f"again {week}")
            if compacted:
                assert table.compact().files_removed > 30
            watcher.poll(START + (week + 1) * WEEK)
        figures.append(rp.Monitor(lake, "m").figures())
        assert len(watcher._predictions(START, START + WEEK, 1)) == 300
        assert len(watcher._predictions(START, START + WEEK, 7)) == 0
    assert figures[0].equals(figures[1])


def test_a_table_of_figures_does_not_grow_by_a_file_for_each_window(lake_root: str) -> None:
    from raypipe.monitoring.store import MonitorStore

    store = MonitorStore(Lake(lake_root), "m")
    for number in range(61):
        store.drift.append(pl.DataFrame({"n": [number]}))
    assert len(store.drift.at().parts()) < 20


def test_an_upkeep_schema_is_the_logs() -> None:
    assert "prediction_id" in log_schema(SIGNATURE.features)
