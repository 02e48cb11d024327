"""From a state and one complete window of predictions to the next state.

Windows are fixed stretches of event time, processed once each, in order, whole. So the state after
a window depends on the rows alone, never on when or how often somebody looked.

What the guarantee says. Under the null hypothesis (live rows exchangeable with the training rows,
losses at most at the limit) the probability that an epoch ever raises an alert is at most
``false_alarm``. Real traffic is seldom exchangeable: the weather of one week is more like itself
than like a whole winter, and the first week of spring differs from training with certainty. That is
drift, and it is reported as drift; the floor on the effect size and the cool-down of whoever
retrains keep it from becoming noise. The bound does not say that such alerts are rare.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.core.errors import MonitorError, SchemaError
from raypipe.monitoring import drift, performance
from raypipe.monitoring.evidence import NOTHING, judge
from raypipe.monitoring.figures import Alert, WindowFigures, make_alert
from raypipe.monitoring.sketch import Profile, Reference, counts_of
from raypipe.monitoring.state import MonitorState, basis_of, references_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import polars as pl

    from raypipe.monitoring.config import MonitorConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWindow:
    """A window that is complete: which event times to read for it.

    Args:
        start: first event time of the window.
        end: event time that ends it, not in it.
        labelled_start: first event time of the predictions whose labels are now due.
        labelled_end: event time that ends those, not among them. Equal to ``labelled_start``
            where no label of this version can be due yet.
    """

    start: datetime
    end: datetime
    labelled_start: datetime
    labelled_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The rows of one complete window, all scored by the version that is watched.

    Args:
        start: first event time of the window.
        end: event time that ends it, not in it.
        predictions: prediction_id, event_time, score and every watched raw column, event times in
            [start, end); the order of rows does not matter, a repeated id counts once.
        labelled: prediction_id, event_time, score and label of the predictions whose labels are
            due now (``match_labels`` makes it from two frames); None for none.
    """

    start: datetime
    end: datetime
    predictions: pl.DataFrame
    labelled: pl.DataFrame | None = None


def due_windows(state: MonitorState, config: MonitorConfig, until: datetime) -> list[DueWindow]:
    """The complete windows that are not processed yet, in order.

    Args:
        state: the state.
        config: its settings.
        until: the event time before which no further prediction is expected.
    """
    found = []
    start = state.watermark
    while start + config.window <= until:
        end = start + config.window
        low = max(start - config.label_delay, state.origin)
        high = max(end - config.label_delay, state.origin)
        found.append(DueWindow(start=start, end=end, labelled_start=low, labelled_end=high))
        start = end
    return found


def advance(
    state: MonitorState, window: Window, *, profile: Profile, config: MonitorConfig
) -> tuple[MonitorState, list[WindowFigures], Alert | None]:
    """Processes the next window: a pure function of its arguments, the same bits every time.

    Figures have one row a column, one for performance if it is watched, and one for the whole, in
    this order. An epoch that has raised its alert goes on with figures but raises no other until
    ``acknowledge``.

    Raises:
        MonitorError: the window is not the next one, or profile or settings are not those the
            state was started with.
        SchemaError: a column is missing, an event time lies outside the window, or a labelled
            prediction's score or label lies outside [0, 1].
    """
    references = references_of(profile, config)
    _check_next(state, window, config, basis_of(references, config))
    common: dict[str, Any] = {
        "model": state.model,
        "version": state.version,
        "epoch": state.epoch,
        "window_start": window.start,
        "window_end": window.end,
    }
    state, rows = _columns(state, _in_order(window), references, common)
    may_raise = {_key(row): _reaches(row, config) for row in rows}
    if state.baseline_loss is not None:
        limit = state.baseline_loss + config.performance_margin
        state, row = _performance(state, window.labelled, limit, common)
        rows.append(row)
        may_raise[_key(row)] = row.rows >= config.min_rows
    log_e = {_key(row): row.log_e for row in rows if row.log_e is not None}
    verdict = judge(log_e, may_raise, config.false_alarm)
    raises = verdict.alarm and state.alert is None
    rows = [replace(row, guilty=raises and _key(row) in verdict.guilty) for row in rows]
    total = WindowFigures(
        **common,
        kind="all",
        name="all",
        rows=window.predictions["prediction_id"].n_unique(),
        log_e=None if verdict.log_e == NOTHING else verdict.log_e,
        guilty=raises,
    )
    alert = None
    if raises:
        guilty = sorted(
            (row for row in rows if row.guilty), key=lambda row: verdict.guilty.index(_key(row))
        )
        alert = make_alert(total, guilty, 1 / config.false_alarm)
    return replace(state, watermark=window.end, alert=state.alert or alert), [*rows, total], alert


def _check_next(state: MonitorState, window: Window, config: MonitorConfig, basis: str) -> None:
    if state.basis != basis:
        raise MonitorError(
            "the profile or the settings are not those the monitor was started with",
            f"{state.model} version {state.version}, epoch {state.epoch}",
            "Evidence gathered under others does not carry over: start a new state.",
        )
    if (window.start, window.end) != (state.watermark, state.watermark + config.window):
        raise MonitorError(
            "windows are processed in order, each once",
            f"{window.start} to {window.end}",
            f"The next one is {state.watermark} to {state.watermark + config.window}.",
        )


def _in_order(window: Window) -> pl.DataFrame:
    """The window's rows by event time and id, each id once, whatever order they came in."""
    for name in ("prediction_id", "event_time"):
        if name not in window.predictions.columns:
            raise SchemaError("predictions lack a column", name, None, name)
    times = window.predictions["event_time"]
    outside = times.filter(~times.is_between(window.start, window.end, closed="left"))
    if len(outside) or times.null_count():
        raise SchemaError(
            f"{len(outside) + times.null_count()} predictions lie outside the window",
            f"{outside[0] if len(outside) else None}",
            f"Pass the rows from {window.start} to before {window.end}.",
            "event_time",
        )
    ordered = window.predictions.sort("event_time", "prediction_id", maintain_order=True)
    return ordered.unique("prediction_id", keep="first", maintain_order=True)


def _columns(
    state: MonitorState,
    frame: pl.DataFrame,
    references: Mapping[str, Reference],
    common: dict[str, Any],
) -> tuple[MonitorState, list[WindowFigures]]:
    states, rows = {}, []
    for name, reference in references.items():
        codes = reference.codes(frame)
        martingale = state.columns[name].update(codes, reference.counts, state.key(name)).close()
        live = counts_of(codes, len(reference.counts))
        figures = drift.measure(reference.counts, live, reference.other)
        states[name] = martingale
        measured = {**asdict(figures), "log_e": martingale.log_e, "guilty": False}
        rows.append(WindowFigures(**common, kind="column", name=name, **measured))
    return replace(state, columns=states), rows


def _performance(
    state: MonitorState, labelled: pl.DataFrame | None, limit: float, common: dict[str, Any]
) -> tuple[MonitorState, WindowFigures]:
    scores = labels = np.empty(0)
    if labelled is not None:
        scores = performance.in_unit_interval(labelled, "score")
        labels = performance.in_unit_interval(labelled, "label")
    ledger = performance.bet(state.performance, performance.brier(scores, labels), limit).close()
    measured = {
        **asdict(performance.measure(scores, labels)),
        "log_e": performance.log_evidence(ledger),
        "guilty": False,
    }
    row = WindowFigures(**common, kind="performance", name="performance", **measured)
    return replace(state, performance=ledger), row


def _key(row: WindowFigures) -> str:
    return f"{row.kind}:{row.name}"


def _reaches(row: WindowFigures, config: MonitorConfig) -> bool:
    """Whether a column's effect in this window is large enough, beyond what chance gives."""
    if row.psi is None or row.psi_noise is None or row.rows < config.min_rows:
        return False
    return config.psi_floor == 0 or row.psi - row.psi_noise >= config.psi_floor
