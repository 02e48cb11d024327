"""One look at a model: read what is new in the lake, decide, write down what was found.

Runs in any process; the ``Monitor`` runs it in an actor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import polars as pl

from raypipe.core.errors import ModelNotFoundError
from raypipe.core.faults import fault_point
from raypipe.monitoring.figures import Alert
from raypipe.monitoring.performance import match_labels
from raypipe.monitoring.state import MonitorState, acknowledge
from raypipe.monitoring.store import MonitorStore
from raypipe.monitoring.windows import DueWindow, Window, advance, due_windows
from raypipe.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from raypipe.lake import Lake
    from raypipe.monitoring.config import MonitorConfig

Outcome = Literal["handled", "deferred"]
# Where watching begins by itself: near the first event, but one absurd time must not set it.
_EARLY = pl.col("event_time").quantile(0.01, "lower")
OnDrift = Callable[["Lake", Alert, datetime], Outcome]
"""Called with the lake, the open alert and the time of the look.

``"handled"`` closes the alert; after ``"deferred"`` the next look offers the same alert again.
"""


class Watcher:
    """Watches the version in service of one model.

    Each look processes the windows of event time that are complete, in order, each once. Killed at
    any point and run again, figures, alerts and decisions are those of an undisturbed run.
    """

    def __init__(
        self,
        lake: Lake,
        model: str,
        config: MonitorConfig,
        on_drift: OnDrift | None = None,
        since: datetime | None = None,
    ) -> None:
        self._lake = lake
        self._model = model
        self._config = config
        self._on_drift = on_drift
        self._since = since
        self._rows = lake.table(f"{model}__predictions")  # a table kept follows its log
        self._labels = lake.table(f"{model}__labels")
        self._store = MonitorStore(lake, model)
        self._registry = Registry(lake)

    def poll(self, until: datetime) -> list[Alert]:
        """Processes what is complete before ``until`` and hands an open alert to ``on_drift``.

        Args:
            until: event time (UTC) before which no further prediction is expected.

        Returns:
            The alerts raised by this look.

        Raises:
            ModelNotFoundError: no version is in service.
        """
        champion = self._registry.champion(self._model)
        if champion is None:
            raise ModelNotFoundError(
                f"no version of {self._model} is in service", act="Promote one first."
            )
        state = self._state(champion)
        raised = []
        for due in [] if state is None else due_windows(state, self._config, until):
            assert state is not None
            window = self._read(due, state.version)
            after, figures, alert = advance(
                state, window, profile=champion.bundle.profile, config=self._config
            )
            if not self._store.save_window(after, figures):
                # another watcher was here first: what it saw is what counts
                after, alert = self._store.newest(after.version) or after, None
            state = after
            fault_point("monitor:after-window")
            if alert is not None:
                raised.append(alert)
        for left in self._store.unhandled(except_version=champion.version):
            self._settle(left, until)  # cut short after its promotion, or overtaken by another
        if state is not None:
            self._settle(state, until)
        return raised

    def _settle(self, state: MonitorState, now: datetime) -> None:
        """Tells of an open alert and, once that is handled, begins the version's next epoch.

        With nobody to tell, the alert in its table is all that is done about it.
        """
        if state.alert is None:
            return
        self._store.save_alert(state.alert)
        fault_point("monitor:after-alert")
        if self._on_drift and self._on_drift(self._lake, state.alert, now) == "deferred":
            return
        self._store.save_epoch(acknowledge(state))

    def _state(self, version: ModelVersion) -> MonitorState | None:
        """The state to go on from, begun if there is none; ``None`` before any prediction.

        Under other settings evidence does not carry over, so they begin an epoch.
        """
        before = self._store.newest(version.version)
        origin = before.origin if before else self._origin()
        if origin is None:
            return None
        fresh = MonitorState.start(
            model=self._model,
            version=version.version,
            origin=origin,
            profile=version.bundle.profile,
            config=self._config,
            baseline_loss=version.metrics.get("brier"),
        )
        if before is not None:
            if before.basis == fresh.basis:
                return before
            epoch = before.epoch + 1
            fresh = replace(fresh, epoch=epoch, watermark=before.watermark, alert=before.alert)
        self._store.save_epoch(fresh)
        return fresh

    def _origin(self) -> datetime | None:
        return self._store.watermark() or self._since or self._first_prediction()

    def _first_prediction(self) -> datetime | None:
        table = self._rows
        if not table.exists:
            return None
        first: datetime | None = table.at().lazy().select(_EARLY).collect().item()
        return first

    def _read(self, due: DueWindow, version: int) -> Window:
        predictions = self._predictions(due.start, due.end, version)
        labelled = None
        labels = self._labels
        if due.labelled_start < due.labelled_end and labels.exists:
            earlier = self._predictions(due.labelled_start, due.labelled_end, version)
            # only what had come by the end of the window, whenever it is looked at
            known = labels.at().where(pl.col("at") <= due.end).frame()
            labelled = match_labels(earlier, known)
        return Window(start=due.start, end=due.end, predictions=predictions, labelled=labelled)

    def _predictions(self, start: datetime, end: datetime, version: int) -> pl.DataFrame:
        """The version's predictions of a time; of a prediction id, the row first committed."""
        table = self._rows
        if not table.exists:
            return pl.DataFrame(
                schema={
                    "prediction_id": pl.String,
                    "event_time": pl.Datetime("us"),
                    "score": pl.Float64,
                }
            )
        time = pl.col("event_time")
        rows = table.at().where((time >= start) & (time < end)).frame()
        once = rows.unique("prediction_id", keep="first", maintain_order=True)
        return once.filter(pl.col("version") == version)
