"""Where a monitor's memory lies: the drift table holds figures and state, in one commit a window.

So a monitor that is killed at any point goes on from the last whole window, and a window that is
processed again commits nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.times import utc_now
from raypipe.monitoring.figures import FIGURES_SCHEMA, Alert, WindowFigures, figures_frame
from raypipe.monitoring.state import MonitorState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from raypipe.lake import Lake, Table

_EPOCH = "epoch"
_PROPERTIES = {"delta.autoOptimize.autoCompact": True}  # a file for each window, for years
_ALERTS_SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "model": pl.String,
    "version": pl.Int64,
    "epoch": pl.Int64,
    "window_start": pl.Datetime("us"),
    "window_end": pl.Datetime("us"),
    "cause": pl.String,
    "columns": pl.List(pl.String),
    "log_e": pl.Float64,
    "message": pl.String,
    "at": pl.Datetime("us"),
}


class MonitorStore:
    """The tables of one model's monitor: ``<model>__drift`` and ``<model>__alerts``."""

    def __init__(self, lake: Lake, model: str) -> None:
        self.drift: Table = lake.table(f"{model}__drift", properties=_PROPERTIES)
        self.alerts: Table = lake.table(f"{model}__alerts", properties=_PROPERTIES)
        self._model = model
        self._revision = -1
        self._last: dict[int, MonitorState] = {}

    def newest(self, version: int) -> MonitorState | None:
        """The last state committed for a version."""
        return self._states().get(version)

    def unhandled(self, except_version: int) -> list[MonitorState]:
        """The last states of other versions whose alert nobody has handled yet."""
        return [
            state
            for version, state in sorted(self._states().items())
            if version != except_version and state.alert is not None
        ]

    def watermark(self) -> datetime | None:
        """Event time up to which windows of any version are processed."""
        return max((state.watermark for state in self._states().values()), default=None)

    def _states(self) -> dict[int, MonitorState]:
        """The last state of each version; read anew only when the table has changed."""
        if not self.drift.exists:
            return {}
        revision = self.drift.version()
        if revision != self._revision:
            rows = self.drift.at(revision)
            # first which states are the last, then only those: a state may be large
            marks = rows.select("version", "epoch", "window_end", "kind").frame()
            marks = marks.filter(~pl.col("kind").is_in(["column", "performance"]))
            order = ("epoch", "window_end")
            last = marks.sort(*order).unique("version", keep="last", maintain_order=True)
            found = {}
            for version, epoch, end, kind in last.iter_rows():
                this = (
                    (pl.col("version") == version)
                    & (pl.col("epoch") == epoch)
                    & (pl.col("window_end") == end)
                    & (pl.col("kind") == kind)
                )
                text = rows.where(this).select("state").frame()["state"].item()
                found[version] = MonitorState.from_json(text)
            self._last, self._revision = found, revision
        return self._last

    def save_window(self, state: MonitorState, figures: Sequence[WindowFigures]) -> bool:
        """Commits a window's figures with the state after it.

        Returns:
            False if the window had been committed before; then nothing was done, and what counts
            is the state of that time.
        """
        frame = figures_frame(figures).with_columns(
            state=pl.when(pl.col("kind") == "all").then(pl.lit(state.to_json()))
        )
        key = f"window:{state.version}:{state.epoch}:{state.watermark.isoformat()}"
        return not self.drift.append(frame, batch_id=key).applied_before

    def save_epoch(self, state: MonitorState) -> None:
        """Commits the state that an epoch begins with; a second time it does nothing."""
        row = {
            "model": state.model,
            "version": state.version,
            "epoch": state.epoch,
            "window_start": state.watermark,
            "window_end": state.watermark,
            "kind": _EPOCH,
            "name": _EPOCH,
            "rows": 0,
            "guilty": False,
            "state": state.to_json(),
        }
        frame = pl.DataFrame([row], schema={**FIGURES_SCHEMA, "state": pl.String()})
        self.drift.append(frame, batch_id=f"{_EPOCH}:{state.version}:{state.epoch}")

    def save_alert(self, alert: Alert) -> None:
        """Commits an alert; the same alert a second time does nothing."""
        values = alert.to_dict() | {
            "window_start": alert.window_start,
            "window_end": alert.window_end,
            "at": utc_now(),
        }
        frame = pl.DataFrame([values], schema=_ALERTS_SCHEMA)
        self.alerts.append(frame, batch_id=f"alert:{alert.id}")

    def read_alerts(self) -> list[Alert]:
        """All alerts, in the order in which they were raised."""
        if not self.alerts.exists:
            return []
        rows = self.alerts.at().frame().sort("window_end", "at").drop("at").iter_rows(named=True)
        return [Alert(**{**row, "columns": tuple(row["columns"])}) for row in rows]

    def figures(self) -> pl.DataFrame:
        """All figures without the states, by window."""
        if not self.drift.exists:
            return figures_frame([])
        rows = self.drift.at().frame().drop("state").filter(pl.col("kind") != _EPOCH)
        return rows.sort("window_start", "version", "kind", "name")
