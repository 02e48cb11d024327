"""From an alert to a new version in service: decide, train, gate, register, promote."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import CommitConflictError, RaypipeError
from raypipe.core.faults import fault_point
from raypipe.models import metrics
from raypipe.registry import Gate, GateReport, Registry
from raypipe.retraining.decide import Attempt, Done, Ending, Policy, Stale, Wait, decide

if TYPE_CHECKING:
    from raypipe.lake import Commit, Lake, Table
    from raypipe.monitoring.figures import Alert
    from raypipe.monitoring.watcher import Outcome
    from raypipe.training import Run

Pipeline = Callable[["Lake", datetime], "Run"]
"""Trains on what was known at a time and gives the finished run."""

_SCHEMA: dict[str, Any] = {
    "cause": pl.String,
    "model": pl.String,
    "kind": pl.String,
    "time": pl.Datetime("us"),
    "from_version": pl.Int64,
    "to_version": pl.Int64,
    "run_id": pl.String,
    "detail": pl.String,
}


class Retrain:
    """What a monitor does about an alert; pass it as ``Monitor.start(on_drift=...)``.

    One alert starts one retraining. A fault of the user's (a missing column, a label of one class)
    ends it as failed; any other is tried again at the next look. Killed anywhere and called again,
    it goes on: the run from its last checkpoint, the version under the same number, the promotion
    once. Decisions and outcomes are rows of the table ``<model>__retrainings``.

    Args:
        pipeline: ``pipeline(lake, now)`` trains on what was known at ``now`` and returns the run;
            it must give the same run for the same arguments.
        gate: what the candidate must pass; by default to have a better ROC AUC than the version
            in service on the run's validation rows. A candidate that fails is refused; the version
            in service stays.
        cooldown: at least this much time between the starts of two retrainings.
        settle: at least this much time between the end of the alert's window and the start, so that
            labels of the changed rows have arrived for the candidate to learn from.
        budget: retrainings in all; ``None`` for no limit.

    Raises:
        ConfigError: a duration is negative or the budget is less than 1.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        gate: Gate | Sequence[Gate] | None = None,
        cooldown: timedelta = timedelta(days=28),
        settle: timedelta = timedelta(0),
        budget: int | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.gate = Gate(metrics.roc_auc, beats="champion") if gate is None else gate
        self.policy = Policy(cooldown=cooldown, settle=settle, budget=budget)

    def __call__(self, lake: Lake, alert: Alert, now: datetime) -> Outcome:
        """Handles an alert at a time; see ``raypipe.monitoring.watcher.OnDrift``."""
        log = RetrainingLog(lake, alert.model)
        decision = self._start(log, lake, alert, now)
        if isinstance(decision, Wait):
            return "deferred"
        if isinstance(decision, (Done, Stale)):
            return "handled"
        began = time.monotonic()
        try:
            ending, to_version, detail = self._run(lake, alert, decision)
        except RaypipeError as error:
            if error.fault != "user" or error.retryable:
                raise  # the next look tries again, and goes on where this one stopped
            ending, to_version, detail = (
                "failed",
                None,
                {"reason": ". ".join(filter(None, (error.what, error.act)))},
            )
        detail["seconds"] = time.monotonic() - began
        log.end(alert, ending, decision, to_version, detail)
        return "handled"

    def _run(
        self, lake: Lake, alert: Alert, decided: datetime
    ) -> tuple[Ending, int | None, dict[str, Any]]:
        run = self.pipeline(lake, decided)
        fault_point("retraining:after-training")
        registry = Registry(lake)
        detail: dict[str, Any] = {"metrics": run.metrics, "run_id": run.id}
        version = registry.attempt(alert.model, run, self.gate, tags={"cause": alert.id})
        if isinstance(version, GateReport):
            return "refused", None, detail | {"gate": version.to_dict(), "reason": str(version)}
        fault_point("retraining:after-register")
        detail["gate"] = version.gate
        if version.version == alert.version:
            return "unchanged", version.version, detail | {"reason": "nothing new was known"}
        if version.tags.get("cause") != alert.id:  # an older version, made of the same rows
            report = registry.evaluate(alert.model, run, self.gate)
            detail["gate"] = report.to_dict()
            if not report.passed:
                return "refused", version.version, detail | {"reason": str(report)}
        version.promote(cause=alert.id)
        fault_point("retraining:after-promote")
        return "promoted", version.version, detail

    def _start(
        self, log: RetrainingLog, lake: Lake, alert: Alert, now: datetime
    ) -> datetime | Wait | Done | Stale:
        """The time of the decision to train, written down before anything is done."""
        champion = Registry(lake).champion(alert.model)
        current = champion is not None and champion.version == alert.version
        while True:
            rows, revision = log.read()
            decision = decide(
                alert.id,
                alert.window_end,
                now,
                log.attempts(rows),
                self.policy,
                in_service=current,
            )
            if isinstance(decision, (Wait, Done, Stale)):
                return decision
            if decision.again:
                return decision.at
            try:
                log.start(alert, now, if_version=revision)
            except CommitConflictError:
                continue  # another process decided something; look again
            fault_point("retraining:after-start")
            return now

    def __repr__(self) -> str:
        return f"Retrain(cooldown={self.policy.cooldown}, budget={self.policy.budget})"


class RetrainingLog:
    """The table ``<model>__retrainings``: a row when one starts and one when it ends."""

    def __init__(self, lake: Lake, model: str) -> None:
        self._table: Table = lake.table(f"{model}__retrainings")
        self._model = model

    def read(self) -> tuple[list[dict[str, Any]], int]:
        """All rows in order, ``detail`` parsed, and the table's version (-1: none yet)."""
        if not self._table.exists:
            return [], -1
        revision = self._table.version()
        frame = self._table.at(revision).frame()
        rows = frame.sort("time", pl.col("kind") != "started").iter_rows(named=True)
        return [{**row, "detail": json.loads(row["detail"])} for row in rows], revision

    @staticmethod
    def attempts(rows: Sequence[dict[str, Any]]) -> list[Attempt]:
        """The rows as attempts, oldest first."""
        endings = {row["cause"]: row["kind"] for row in rows if row["kind"] != "started"}
        return [
            Attempt(cause=row["cause"], started=row["time"], ending=endings.get(row["cause"]))
            for row in rows
            if row["kind"] == "started"
        ]

    def start(self, alert: Alert, now: datetime, *, if_version: int) -> None:
        """Writes down that this alert starts a retraining.

        Raises:
            CommitConflictError: the table has changed since ``if_version``, or the start is
                written down already, perhaps with another time.
        """
        detail = {"message": alert.message, "cause": alert.cause, "columns": list(alert.columns)}
        if self._append(alert, "started", now, None, detail, if_version).applied_before:
            raise CommitConflictError("another process started this retraining", alert.id)

    def end(
        self,
        alert: Alert,
        kind: Ending,
        now: datetime,
        to_version: int | None,
        detail: dict[str, Any],
    ) -> None:
        """Writes down how it ended; a second time it does nothing."""
        self._append(alert, kind, now, to_version, detail, None)

    def _append(
        self,
        alert: Alert,
        kind: str,
        now: datetime,
        to_version: int | None,
        detail: dict[str, Any],
        if_version: int | None,
    ) -> Commit:
        row = {
            "cause": alert.id,
            "model": self._model,
            "kind": kind,
            "time": now,
            "from_version": alert.version,
            "to_version": to_version,
            "run_id": detail.get("run_id"),
            "detail": json.dumps(detail, sort_keys=True),
        }
        phase = "start" if kind == "started" else "end"
        frame = pl.DataFrame([row], schema=_SCHEMA)
        batch = f"{phase}:{alert.id}"
        return self._table.append(frame, batch_id=batch, if_version=if_version)
