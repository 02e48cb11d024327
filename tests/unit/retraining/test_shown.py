"""How things show themselves: useful in a line, a table in a notebook, every name escaped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.monitoring.figures import Alert
from raypipe.monitoring.store import MonitorStore
from raypipe.training.runs import RunRecord
from tests import small

BAD = "<script>alert('x')</script>&\"<b>"


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each of them with a hostile name in it."""
    lake = rp.Lake(str(tmp_path_factory.mktemp("lake")))
    frame = small.rows(n=300).rename({"x": BAD})
    lake.table("rows").append(frame)
    rows = lake.table("rows").at()
    recipe = rp.Recipe(rp.transforms.select(BAD), rp.transforms.one_hot("color"))
    learner = rp.XGBoost(rounds=3, monotone={BAD: 1})
    trainer = rp.Trainer(recipe, label="late", learner=learner)
    run = trainer.fit(rows, rows, tags={BAD: BAD})
    gate = rp.Gate(rp.metrics.roc_auc, at_least=0.5)
    registry = rp.Registry(lake)
    version = registry.register("m", run, gate=gate, tags={BAD: BAD}).promote()
    return {
        "trainer": trainer,
        "run": run,
        "runs": rp.Runs(lake),
        "record": rp.Runs(lake).get(run.id),
        "failed": RunRecord(
            run_id="r", status="failed", started=datetime(2026, 1, 1), tags={BAD: BAD}, error=BAD
        ),
        "bundle": run.bundle,
        "gate": gate,
        "report": registry.evaluate("m", run, gate),
        "registry": registry,
        "version": version,
        "monitor": rp.Monitor(lake, "m"),
        "loop": rp.TrainLoop("tests.loop_of_ours:fit", config={BAD: BAD}),
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("trainer", ["XGBoost", "late"]),
        ("run", ["roc_auc"]),
        ("runs", ["finished"]),
        ("record", ["finished", "metric.roc_auc"]),
        ("failed", ["failed"]),
        ("bundle", ["model.ubj", "roc_auc"]),
        ("gate", ["roc_auc", "at least", "0.5"]),
        ("report", ["roc_auc", "passed"]),
        ("registry", ["in service", "m"]),
        ("version", ["m, version 1", "yes"]),
        ("monitor", ["false alarms at most"]),
    ],
)
def test_a_table_in_a_notebook(things: dict[str, Any], name: str, words: list[str]) -> None:
    shown = things[name]._repr_html_()
    assert shown.startswith("<table>")
    assert all(word in shown for word in words)
    assert "<script" not in shown
    assert "<b>" not in shown


@pytest.mark.parametrize("name", ["trainer", "record", "failed", "bundle", "version"])
def test_what_is_hostile_is_there_but_escaped(things: dict[str, Any], name: str) -> None:
    assert "&lt;script&gt;" in things[name]._repr_html_()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("record", "RunRecord("),
        ("failed", "RunRecord(r, failed, <script>"),
        ("version", "ModelVersion('m', 1, hash="),
        ("gate", "Gate(roc_auc, at_least=0.5)"),
        ("monitor", "Monitor('m', false_alarm="),
        ("registry", "Registry("),
        ("loop", "TrainLoop("),
    ],
)
def test_a_line(things: dict[str, Any], name: str, start: str) -> None:
    assert repr(things[name]).startswith(start)
    assert len(repr(things[name])) < 500


def test_alerts_of_hostile_columns(things: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    alert = Alert(
        id="a",
        model="m",
        version=1,
        epoch=1,
        window_start=datetime(2026, 1, 1),
        window_end=datetime(2026, 1, 2),
        cause="drift",
        columns=(BAD,),
        log_e=5.0,
        message=f"drift of {BAD}",
    )
    monkeypatch.setattr(MonitorStore, "read_alerts", lambda _: [alert])
    shown = things["monitor"]._repr_html_()
    assert "drift of &lt;script&gt;" in shown
    assert "<script" not in shown


def test_the_curves_of_a_run(things: dict[str, Any]) -> None:
    run = things["run"]
    assert run._repr_html_().count("<svg") == 1
    assert run.curves("logloss").frame["value"].to_list() == (
        run.history["train"]["logloss"] + run.history["valid"]["logloss"]
    )
    with pytest.raises(rp.errors.ConfigError, match="no figures by round: got auc"):
        run.curves("auc")


def test_curves_of_a_hostile_metric() -> None:
    from raypipe.training.runs.views import Curves

    frame = pl.DataFrame(
        {"run_id": [BAD], "data": [BAD], "metric": [BAD], "round": [0], "value": [0.5]}
    )
    shown = Curves(frame, BAD)._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
