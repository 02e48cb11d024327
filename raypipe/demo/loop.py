"""The loop from raw files to the report, stage by stage.

Every stage asks the lake what is done already, so a demo that is killed anywhere goes on when it is
run again, and a finished one changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import polars as pl

import raypipe as rp
from raypipe.core.faults import fault_point
from raypipe.demo import figures, flights
from raypipe.demo.client import ClientProcess, client_process
from raypipe.demo.memory import PeakMemory
from raypipe.demo.stages import Stages
from raypipe.demo.summary import Summary
from raypipe.engine.cluster import session
from raypipe.engine.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

MODEL = flights.MODEL
_HOST = "127.0.0.1"
_KILL_ROUND = 50


def run_demo(
    lake_uri: str,
    *,
    kill_worker: bool = False,
    port: int | None = None,
    report: str | None = None,
    weeks: int = flights.ALL_WEEKS,
    out: TextIO | None = None,
) -> Summary:
    """Runs the whole loop on the flights of 2013, or what of it is not done in this lake.

    Args:
        lake_uri: where the lake is, or is to be.
        kill_worker: kill one worker of the first training in its 50th round; the model must come
            out the same.
        port: of the service on loopback; default a free one.
        report: path of the HTML report; default ``report.html`` in the lake's folder.
        weeks: replay only the first so many weeks from April on; a later call with more goes on.
        out: where progress goes; default standard error.

    Raises:
        ConfigError: ``weeks`` is out of its range.
        RaypipeError: whatever stage failed says why and what to do.
    """
    if not 1 <= weeks <= flights.ALL_WEEKS:
        raise rp.errors.ConfigError(f"weeks must be 1 to {flights.ALL_WEEKS}", weeks, field="weeks")
    lake = rp.Lake(lake_uri)
    service = rp.Service(lake, MODEL, host=_HOST, port=_free_port() if port is None else port)
    path = Path(report) if report else _report_path(lake)
    finished = Summary.read(lake)
    if finished is not None and finished.weeks >= weeks:
        return finished
    with PeakMemory() as memory:
        stages = Stages(lake, Progress(out or sys.stderr), memory)
        counts = _ingest(lake, stages)
        with stages("features") as stage:
            flights.build_features(lake)
            rows = lake.table(flights.FEATURES).at().count()
            stages.rows["features"] = rows
            stage.say(f"{rows:,} rows")
        with contextlib.ExitStack() as stack:
            with stages("start Ray"):
                stack.enter_context(session())
            first = _first_version(lake, stages, kill_worker)
            with stages("serve") as stage:
                stack.callback(service.stop)
                service.deploy()
                stage.say(service.url)
            _replay(lake, stages, service, flights.weeks(weeks))
            with stages("report") as stage:
                result = figures.collect(lake, counts, stages, first, path, weeks)
                stage.say(str(path))
    result.save(lake)
    return result


def _report_path(lake: rp.Lake) -> Path:
    root = Path(lake.root)
    return root / "report.html" if root.is_absolute() else Path("raypipe-demo-report.html")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _ingest(lake: rp.Lake, stages: Stages) -> dict[str, dict[str, int]]:
    """Rows that came in as the commits counted them, rows there as the tables hold them."""
    rows_in: dict[str, int] = {}
    with stages("ingest") as stage, tempfile.TemporaryDirectory() as folder:
        flights.write_raw_files(Path(folder))
        for name, commit in flights.ingest(lake, Path(folder)):
            rows_in[name] = rows_in.get(name, 0) + commit.rows_in
        counts = {}
        for name, count in rows_in.items():
            table = lake.table(name)
            aside = table.quarantine()
            counts[name] = {
                "rows_in": count,
                "rows": table.at().count(),
                "quarantined": aside.at().count() if aside.exists else 0,
            }
        total = sum(row["rows"] for row in counts.values())
        set_aside = sum(row["quarantined"] for row in counts.values())
        stages.rows["ingest"] = total
        stage.say(f"{total:,} rows, {set_aside} in quarantine")
    return counts


def _first_version(lake: rp.Lake, stages: Stages, kill_worker: bool) -> rp.ModelVersion:
    registry = rp.Registry(lake)
    with stages("train") as stage:
        with _killing_a_worker() if kill_worker else contextlib.nullcontext():
            run = flights.train(lake, flights.FIRST_WEEK)
        rows, auc = run.bundle.manifest["rows"], run.metrics["roc_auc"]
        stages.rows["train"] = rows
        stage.say(f"{rows:,} rows, AUC {auc:.4f} in validation")
    with stages("gate") as stage:
        version = registry.register(
            MODEL,
            run,
            gate=[
                rp.Gate(rp.metrics.roc_auc, at_least=0.60),
                rp.Gate(rp.metrics.log_loss, beats="baseline"),
            ],
        )
        if registry.champion(MODEL) is None:
            version.promote(cause="first")
        stage.say(f"version {version.version}, {version.hash[:12]}")
    return version


@contextlib.contextmanager
def _killing_a_worker() -> Iterator[None]:
    """One training worker kills itself with SIGKILL when it has done 50 rounds."""
    with tempfile.TemporaryDirectory() as folder:
        fault = {
            "RAYPIPE_FAULT": f"training:round:{_KILL_ROUND}",
            "RAYPIPE_FAULT_ONCE": str(Path(folder) / "killed"),
        }
        before = {name: os.environ.get(name) for name in fault}
        os.environ.update(fault)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _replay(lake: rp.Lake, stages: Stages, service: rp.Service, weeks: list[datetime]) -> None:
    """Week by week: requests, then the labels of the week before, then the monitor's look."""
    monitor = rp.Monitor(
        lake,
        MODEL,
        false_alarm=0.01,
        window=flights.WEEK,
        label_delay=flights.LABEL_DELAY,
        psi_floor=0.25,
    )
    monitor.start(
        on_drift=rp.Retrain(
            flights.retrain,
            gate=rp.Gate(rp.metrics.roc_auc, beats="champion"),
            cooldown=5 * flights.WEEK,
            settle=flights.LABEL_DELAY + flights.HOLDOUT,
        ),
        poll_every=None,
        since=flights.FIRST_WEEK,
    )
    try:
        with client_process(_HOST, service.port, lake.root) as client, stages("replay") as stage:
            for number, week in enumerate(weeks, 1):
                _one_week(lake, service, monitor, client, week)
                stage.say(f"{number} of {len(weeks)} weeks")
                fault_point("demo:week")
            _keep(lake, weeks[-1], "end", client.figures())
    finally:
        monitor.stop()


def _one_week(
    lake: rp.Lake,
    service: rp.Service,
    monitor: rp.Monitor,
    client: ClientProcess,
    week: datetime,
) -> None:
    kept = week_path(week)
    if not lake.files.exists(kept):
        sent = client.replay(week)
        fault_point("demo:replayed")
        if sent["unanswered"]:
            raise rp.errors.ServiceUnavailableError(
                f"{sent['unanswered']} requests of the week of {week:%Y-%m-%d} had no answer",
                "; ".join(sent["errors"]),
                "Run the demo again: it goes on with this week.",
            )
        _keep(lake, week, "replay", sent)
    arrived = week - flights.LABEL_DELAY
    if arrived >= flights.FIRST_WEEK:
        _labels_arrive(lake, arrived, week + flights.WEEK)
    now = week + flights.WEEK
    if now > flights.LAST_DAY:
        return  # the year ends within this week: its window is never complete
    before = rp.Registry(lake).revision()
    monitor.poll(until=now)
    if rp.Registry(lake).revision() != before:
        champion = rp.Registry(lake).champion(MODEL)
        if champion is not None:
            service.wait_for(champion.version)
        # what the steady traffic met while the version changed
        _keep(lake, week, "change", client.figures())


def _keep(lake: rp.Lake, week: datetime, kind: str, sent: dict[str, Any]) -> None:
    lake.files.put(week_path(week, kind), json.dumps(sent).encode())


def week_path(week: datetime, kind: str = "replay") -> str:
    """Where a week's figures are kept in the lake."""
    return f"demo/weeks/{week:%Y-%m-%d}-{kind}.json"


def _labels_arrive(lake: rp.Lake, week: datetime, now: datetime) -> None:
    """The outcomes of a week's flights; a cancelled flight never gets one."""
    labels = flights.week_rows(lake, week).select("prediction_id", "label").drop_nulls("label")
    lake.table(f"{MODEL}__labels").append(
        labels.with_columns(at=pl.lit(now, dtype=pl.Datetime("us"))),
        batch_id=f"labels:{week:%Y-%m-%d}",
    )
