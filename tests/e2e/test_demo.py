"""The demo as a user runs it: killed half-way, run again, run a third time.

By default the replay ends in June; the long suite replays the whole year.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.demo import flights
from tests.chromium import browse

KILLED_AFTER_WEEKS = 6  # the first retraining is done by then, the second is not


def demo(
    root: Path, weeks: int, *flags: str, fault: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    if fault:
        environment["RAYPIPE_FAULT"] = fault
    command = [sys.executable, "-m", "raypipe.cli.main", "demo", "--lake", str(root), "--json"]
    command += ["--weeks", str(weeks)]
    return subprocess.run(
        [*command, *flags], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(
    scope="module",
    params=[pytest.param(11, id="to June"), pytest.param(40, id="year", marks=pytest.mark.long)],
)
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A demo whose driver was killed with SIGKILL and which was then run to its end."""
    root = tmp_path_factory.mktemp("demo") / "lake"
    killed = demo(root, request.param, "--kill-worker", fault=f"demo:week:{KILLED_AFTER_WEEKS}")
    assert killed.returncode == -9, killed.stderr[-3000:]
    assert len(list((root / "demo" / "weeks").glob("*-replay.json"))) == KILLED_AFTER_WEEKS
    done = demo(root, request.param)
    assert done.returncode == 0, done.stderr[-3000:]
    return root, json.loads(done.stdout)


@pytest.mark.timeout(1800)
def test_no_row_is_lost_or_doubled(finished: tuple[Path, dict[str, Any]]) -> None:
    root, summary = finished
    rows_in = {name: row["rows_in"] for name, row in summary["tables"].items()}
    assert rows_in == {"flights": 336_776, "weather": 26_115, "planes": 3_322}
    lake = rp.Lake(root)
    for name, row in summary["tables"].items():
        table = lake.table(name)
        assert row["rows_in"] == row["rows"] + row["quarantined"]
        assert table.at().count() == row["rows"]
        aside = table.quarantine()
        assert (aside.at().count() if aside.exists else 0) == row["quarantined"]
    assert summary["tables"]["weather"]["quarantined"] == 1  # a wind of 1048 miles an hour
    log = lake.table("delays__predictions").at().select("prediction_id").frame()
    assert log["prediction_id"].n_unique() == summary["predictions"]
    time = pl.col("sched_dep")
    end = flights.FIRST_WEEK + summary["weeks"] * flights.WEEK
    sent = (time >= flights.FIRST_WEEK) & (time < end)
    replayed = lake.table(flights.FEATURES).at().where(sent).count()
    assert summary["predictions"] == replayed


def test_the_loop_retrains_and_no_request_fails(finished: tuple[Path, dict[str, Any]]) -> None:
    _, summary = finished
    assert summary["failed_requests"] == 0
    assert summary["requests"] > 13 * summary["weeks"]
    causes = [row["cause"] for row in summary["retrainings"]]
    assert causes
    assert len(causes) == len(set(causes))
    promoted = [row for row in summary["retrainings"] if row["promoted"]]
    assert promoted
    assert all(a["to_version"] == b["from_version"] for a, b in pairwise(promoted))
    assert summary["auc"]["loop"] > summary["auc"]["first"] > 0.6
    last = 12 if summary["weeks"] == flights.ALL_WEEKS else 6
    assert list(summary["auc"]["by_month"]) == [f"2013-{month:02d}" for month in range(4, last + 1)]
    assert set(summary["model_hash"]) == {str(n) for n in range(1, len(promoted) + 2)}


def test_no_week_is_scored_by_a_model_that_has_seen_its_labels(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    root, _ = finished
    lake = rp.Lake(root)
    log = lake.table("delays__predictions").at().select("version", "event_time").frame()
    first = dict(log.group_by("version").agg(pl.col("event_time").min()).iter_rows())
    versions = rp.Registry(lake).versions("delays")
    assert versions
    for version in versions:
        identity = version.manifest["valid"]  # the newest rows that it, or its gate, has seen
        newest = lake.snapshot(identity).frame()["sched_dep"].max()
        served = first.get(version.version)
        assert served is None or newest < served
        trained = lake.snapshot(version.manifest["train"]).frame()["sched_dep"].max()
        assert trained < newest


def test_each_alert_is_told_once(finished: tuple[Path, dict[str, Any]]) -> None:
    root, summary = finished
    alerts = rp.Monitor(rp.Lake(root), "delays").alerts()
    assert len({alert.id for alert in alerts}) == len(alerts)
    assert {row["cause"] for row in summary["retrainings"]} <= {alert.id for alert in alerts}


def test_a_third_run_changes_nothing_and_says_so(finished: tuple[Path, dict[str, Any]]) -> None:
    root, summary = finished
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    again = demo(root, summary["weeks"])
    assert again.returncode == 0, again.stderr[-3000:]
    assert json.loads(again.stdout) == summary | {"unchanged": True}
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()} == before


@pytest.mark.timeout(900)
def test_the_killed_worker_changed_no_byte(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it matter where the two ranks run: here both are in this process."""
    _, summary = finished
    asked = flights.trainer

    def here(lake: rp.Lake) -> rp.Trainer:
        trainer = asked(lake)
        trainer.asked = replace(trainer.asked, run_on="local")
        return trainer

    monkeypatch.setattr(flights, "trainer", here)
    lake = rp.Lake(tmp_path / "lake")
    flights.write_raw_files(tmp_path / "raw")
    for _ in flights.ingest(lake, tmp_path / "raw"):
        pass
    flights.build_features(lake)
    run = flights.train(lake, flights.FIRST_WEEK)
    assert run.facts["ran_on"] == "local"
    assert run.bundle.content_hash == summary["model_hash"]["1"]


@pytest.mark.browser
def test_the_report_opens_in_a_browser(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, summary = finished
    page = Path(summary["report"])
    assert page.is_file()
    dom, log = browse(page, tmp_path)
    assert "CONSOLE" not in log
    for words in ("What the figures say", "Quality by week", "Drift", "Lineage"):
        assert words in dom
    assert f"{summary['auc']['loop']:.4f}" in dom
