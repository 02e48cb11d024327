"""What is known of a run: a fold of the events that its attempts wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from raypipe.core.markup import html_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

Kind = Literal["started", "failed", "finished"]
Status = Literal["unfinished", "failed", "finished"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvent:
    """One thing that happened to a run.

    Attributes:
        id: names the event; told twice it counts once.
        run_id: the run.
        at: when, in UTC.
        kind: an attempt started, failed, or finished the run.
        detail: JSON. Of ``started``: ``params``, ``data``, ``tags``, ``code``, ``environment``,
            ``resources``. Of ``failed``: ``error``. Of ``finished``: ``metrics``, ``rounds``,
            ``rows``, ``seconds``, ``resumed_at``, ``artifacts``, ``logs``.
    """

    id: str
    run_id: str
    at: datetime
    kind: Kind
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RunRecord:
    """A run as the lake knows it.

    Attributes:
        run_id: names the run by what went into it.
        status: ``finished``; ``failed`` when its last attempt ended in an error; ``unfinished``
            when that attempt goes on, or its process died: the same fit goes on from where it was.
        started: when its first attempt began, in UTC.
        ended: when it finished or last failed.
        seconds: how long the attempt took that finished it.
        attempts: how often it was started.
        params: what was asked for, nested values under names with dots.
        data: the tables and versions it read.
        tags: what its caller gave.
        metrics: figures on the validation rows at the end.
        rounds: rounds that the model has.
        rows: labelled rows that it learned from.
        resumed_at: the round from which it went on when it was last broken off, by the loss of
            whatever process; 0 if it never was, or had to begin again.
        code: the version of the code that called it (``commit``, and ``dirty`` when files differed
            from it), if that could be told.
        environment: Python, packages and platform of its last attempt.
        resources: workers and CPUs of its last attempt, and where it ran.
        artifacts: the folder in the lake that holds the model.
        logs: the folder in the lake with Ray Train's own files, of a loop of the user's own.
        error: how its last attempt failed.
    """

    run_id: str
    status: Status
    started: datetime
    ended: datetime | None = None
    seconds: float | None = None
    attempts: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    rounds: int | None = None
    rows: int | None = None
    resumed_at: int | None = None
    code: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    artifacts: str | None = None
    logs: str | None = None
    error: str | None = None

    def __repr__(self) -> str:
        said = [self.run_id, self.status, *self._figures()]
        if self.error is not None:
            said.append(self.error)
        return f"RunRecord({', '.join(said)})"

    def _figures(self) -> list[str]:
        return [f"{name}={v:.4f}" for name, v in self.metrics.items() if isinstance(v, float)]

    def _repr_html_(self) -> str:
        facts = {name: value for name, value in self.flat().items() if value is not None}
        return html_facts(facts, "run")

    def flat(self) -> dict[str, Any]:
        """One row: ``param.…``, ``metric.…``, ``data.…``, ``tag.…`` beside the plain facts, and the
        ``error`` of a run that failed.
        """
        row: dict[str, Any] = {
            "run_id": self.run_id,
            "status": self.status,
            "started": self.started,
            "seconds": self.seconds,
            "attempts": self.attempts,
            "rounds": self.rounds,
            "rows": self.rows,
            "resumed_at": self.resumed_at,
        }
        if self.error is not None:
            row["error"] = self.error
        for prefix, values in (
            ("metric", self.metrics),
            ("param", self.params),
            ("data", self.data),
            ("tag", self.tags),
            ("code", self.code),
            ("resource", self.resources),
        ):
            row |= {f"{prefix}.{name}": value for name, value in flatten(values).items()}
        return row


def fold(events: Iterable[RunEvent]) -> dict[str, RunRecord]:
    """The runs that events tell of, by id, in the order in which they were first started.

    Events may come in any order and more than once. A run that is finished stays so, whatever an
    attempt beside it says.
    """
    by_run: dict[str, dict[str, RunEvent]] = {}
    for event in sorted(events, key=lambda e: (e.at, e.id)):
        by_run.setdefault(event.run_id, {})[event.id] = event
    return {run_id: _record(run_id, list(found.values())) for run_id, found in by_run.items()}


def _record(run_id: str, events: list[RunEvent]) -> RunRecord:
    started = [e for e in events if e.kind == "started"]
    done = next((e for e in events if e.kind == "finished"), None)
    last = events[-1]
    said = started[-1].detail if started else {}
    status: Status = "unfinished"
    if done is not None:
        status = "finished"
    elif last.kind == "failed":
        status = "failed"
    detail = {} if done is None else done.detail
    return RunRecord(
        run_id=run_id,
        status=status,
        started=events[0].at,
        ended=done.at if done is not None else last.at if status == "failed" else None,
        seconds=detail.get("seconds"),
        attempts=len(started),
        **{
            name: said.get(name, {})
            for name in ("params", "data", "tags", "code", "environment", "resources")
        },
        metrics=detail.get("metrics", {}),
        rounds=detail.get("rounds"),
        rows=detail.get("rows"),
        resumed_at=detail.get("resumed_at"),
        artifacts=detail.get("artifacts"),
        logs=detail.get("logs"),
        error=last.detail.get("error") if status == "failed" else None,
    )


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, with dots between names; lists become JSON text."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            inner = flatten(value)
            flat |= {f"{name}.{key}": found for key, found in inner.items()} if inner else {}
        elif isinstance(value, list | tuple):
            flat[name] = json.dumps(value)
        else:
            flat[name] = value
    return flat
