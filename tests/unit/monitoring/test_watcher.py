"""The watcher over real tables, and the monitor in its actor."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, ModelNotFoundError, MonitorError
from raypipe.models import trusting
from raypipe.monitoring.config import MonitorConfig
from raypipe.monitoring.store import MonitorStore
from raypipe.monitoring.watcher import Watcher
from tests import small
from tests.faults.loop_scenario import START, WEEK, labels, predictions

CONFIG = MonitorConfig(window=WEEK, label_delay=WEEK, ignore=("color",))


@pytest.fixture
def lake(lake_root: str) -> rp.Lake:
    lake = rp.Lake(lake_root)
    rp.Registry(lake).register("m", small.train(small.rows(), small.rows(seed=1))).promote()
    for week in range(2):
        lake.table("m__predictions").append(predictions(week), batch_id=f"w{week}")
        lake.table("m__labels").append(labels(week), batch_id=f"w{week}")
    return lake


def test_without_a_handler_alerts_are_recorded_and_watching_goes_on(lake: rp.Lake) -> None:
    watcher = Watcher(lake, "m", CONFIG, since=START)
    assert len(watcher.poll(START + WEEK)) == 1
    assert len(watcher.poll(START + 2 * WEEK)) == 1
    assert [a.epoch for a in rp.Monitor(lake, "m").alerts()] == [0, 1]


def test_when_one_looks_makes_no_difference(lake: rp.Lake, tmp_path: Path) -> None:
    other = rp.Lake(tmp_path / "other")
    rp.Registry(other).register("m", small.train(small.rows(), small.rows(seed=1))).promote()
    for week in range(2):
        other.table("m__predictions").append(predictions(week), batch_id=f"w{week}")
        other.table("m__labels").append(labels(week), batch_id=f"w{week}")
    wait = lambda *_: "deferred"  # noqa: E731
    often, once = (Watcher(place, "m", CONFIG, wait, START) for place in (lake, other))
    for hour in range(0, 15 * 24, 12):
        often.poll(START + timedelta(hours=hour))
    once.poll(START + timedelta(days=14))
    one, two = (rp.Monitor(place, "m").figures() for place in (lake, other))
    assert one.equals(two)
    assert MonitorStore(lake, "m").newest(1) == MonitorStore(other, "m").newest(1)


def test_a_label_that_comes_too_late_does_not_count(lake: rp.Lake) -> None:
    late = labels(0).with_columns(at=pl.lit(START + 9 * WEEK))
    lake.table("m__labels").overwrite(late)
    Watcher(lake, "m", CONFIG, lambda *_: "deferred", START).poll(START + 2 * WEEK)
    figures = rp.Monitor(lake, "m").figures().filter(pl.col("kind") == "performance")
    assert figures["rows"].to_list() == [0, 0]


def test_a_prediction_logged_under_two_versions_counts_for_the_first(lake: rp.Lake) -> None:
    again = predictions(0).with_columns(version=pl.lit(7, dtype=pl.Int64))
    lake.table("m__predictions").append(again, batch_id="again")
    watcher = Watcher(lake, "m", CONFIG, since=START)
    assert len(watcher._predictions(START, START + WEEK, 1)) == 300
    assert len(watcher._predictions(START, START + WEEK, 7)) == 0


def test_other_settings_begin_an_epoch(lake: rp.Lake) -> None:
    wait = lambda *_: "deferred"  # noqa: E731
    Watcher(lake, "m", CONFIG, wait, START).poll(START + WEEK)
    strict = MonitorConfig(window=WEEK, label_delay=WEEK, ignore=("color",), false_alarm=0.001)
    Watcher(lake, "m", strict, wait, START).poll(START + 2 * WEEK)
    state = MonitorStore(lake, "m").newest(1)
    assert state is not None
    assert (state.epoch, state.watermark) == (1, START + 2 * WEEK)
    assert state.alert is not None  # the open alert is not forgotten


def test_two_watchers_tell_one_story(lake: rp.Lake) -> None:
    told: list[str] = []

    def react(_: rp.Lake, alert: Any, __: datetime) -> Any:
        told.append(alert.id)
        return "deferred"

    one, two = (Watcher(rp.Lake(lake.root), "m", CONFIG, react, START) for _ in range(2))
    one.poll(START + WEEK)
    two.poll(START + WEEK)
    assert len(set(told)) == 1
    assert len(rp.Monitor(lake, "m").alerts()) == 1


def test_bad_settings_and_a_model_that_is_not_there(lake: rp.Lake) -> None:
    with pytest.raises(ConfigError, match="unknown setting"):
        rp.Monitor(lake, "m", false_alarms=0.1)
    with pytest.raises(ConfigError, match="either config"):
        rp.Monitor(lake, "m", config=CONFIG, window=WEEK)
    with pytest.raises(ModelNotFoundError, match="no version of nobody"):
        Watcher(lake, "nobody", CONFIG).poll(START)


def wait_until(holds: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_actor_looks_by_itself_and_survives_a_kill(
    ray_session: None, lake: rp.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trusts what the process trusts that starts it, also when it is started again."""
    import ray

    monkeypatch.setattr(trusting, "_trusted", {"somewhere:load"})
    monitor = rp.Monitor(lake, "m", config=CONFIG)
    with pytest.raises(MonitorError, match="does not run"):
        monitor.poll()
    try:
        monitor.start(poll_every=timedelta(seconds=0.2), since=START)
        monitor.start(poll_every=timedelta(seconds=0.2), since=START)  # the same one
        wait_until(lambda: monitor.status()["polls"] >= 2)
        assert monitor.status()["last_error"] is None
        alerts = monitor.alerts()
        assert alerts
        seat = ray.get_actor(monitor.actor_name, namespace="raypipe")
        pid = ray.get(seat.pid.remote())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: ray.get(seat.pid.remote()) != pid)
        there = seat.__ray_call__.remote(lambda _: trusting.trusted())
        assert ray.get(there) == ("somewhere:load",)
        monitor.poll()
        assert monitor.alerts()[: len(alerts)] == alerts
    finally:
        monitor.stop()
    with pytest.raises(MonitorError):
        monitor.status()
