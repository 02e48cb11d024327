"""A small loop in one process: four weeks of drifted predictions, a monitor, a retraining."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

import polars as pl

import raypipe as rp
from raypipe.monitoring.config import MonitorConfig
from raypipe.monitoring.watcher import Watcher
from tests import small

START = datetime(2026, 1, 5)
WEEK = timedelta(days=7)
CONFIG = MonitorConfig(window=WEEK, label_delay=WEEK, ignore=("color",))


def pipeline(lake: rp.Lake, now: datetime) -> Any:
    """Trains on rows that look like the drifted ones."""
    return small.train(small.rows(seed=now.day, shift=1.5), small.rows(seed=99, shift=1.5))


def predictions(week: int) -> pl.DataFrame:
    rows = small.rows(n=300, seed=100 + week, shift=1.5)
    minutes = pl.int_range(pl.len()) * 20
    return rows.select(
        prediction_id=pl.format("w{}:{}", pl.lit(week), pl.int_range(pl.len())),
        request_id=pl.lit(f"w{week}"),
        version=pl.lit(1 if week < 2 else 2, dtype=pl.Int64),
        event_time=pl.lit(START + week * WEEK) + pl.duration(minutes=minutes),
        at=pl.lit(START),
        score=pl.when("late").then(0.8).otherwise(0.2),
        x="x",
        y="y",
        color="color",
    )


def labels(week: int) -> pl.DataFrame:
    rows = small.rows(n=300, seed=100 + week, shift=1.5)
    return rows.select(
        prediction_id=pl.format("w{}:{}", pl.lit(week), pl.int_range(pl.len())),
        label=pl.col("late").cast(pl.Float64),
        at=pl.lit(START + (week + 1) * WEEK),
    )


def run(root: str) -> None:
    """All of it; what was done before is not done again."""
    lake = rp.Lake(root)
    first = rp.Registry(lake).register("m", small.train(small.rows(), small.rows(seed=1)))
    if rp.Registry(lake).champion("m") is None:
        first.promote(cause="first")
    react = rp.Retrain(
        pipeline, gate=rp.Gate(rp.metrics.roc_auc, at_least=0.5), cooldown=6 * WEEK, settle=WEEK
    )
    watcher = Watcher(lake, "m", CONFIG, react, since=START)
    for week in range(4):
        lake.table("m__predictions").append(predictions(week), batch_id=f"w{week}")
        lake.table("m__labels").append(labels(week), batch_id=f"w{week}")
        watcher.poll(START + (week + 1) * WEEK)


def outcome(root: str) -> dict[str, Any]:
    """What a run leaves behind, without clock times."""
    lake = rp.Lake(root)
    drift = lake.table("m__drift").at().frame()
    retrainings = lake.table("m__retrainings").at().frame().drop("detail")
    return {
        "events": [(e.kind, e.version, e.run_id) for e in rp.Registry(lake).events("m")],
        "alerts": [alert.to_dict() for alert in rp.Monitor(lake, "m").alerts()],
        "drift": drift.sort("window_end", "epoch", "version", "kind", "name").rows(),
        "retrainings": retrainings.sort("time", "kind").rows(),
        "predictions": sorted(lake.table("m__predictions").at().frame()["prediction_id"]),
    }


def drive(root: str, fault: str) -> None:
    """The whole of a process that may be killed."""
    os.environ["RAYPIPE_FAULT"] = fault
    run(root)
