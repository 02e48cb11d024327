"""What a window leaves behind: rows of figures for the drift table, and at most one alert."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from raypipe.core.identity import content_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

Cause = Literal["drift", "performance", "both"]

_LARGEST_LOG = math.log(1e300)
_SHOWN = 5  # columns named in a message; the alert holds all


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFigures:
    """One row of the drift table: a column, the performance or the whole of one window.

    Args:
        model: the model's name.
        version: its version.
        epoch: the epoch, from 0.
        window_start: first event time of the window.
        window_end: event time that ends the window, not in it.
        kind: ``"column"``, ``"performance"`` or ``"all"``.
        name: the column's name; the kind itself for the other two.
        rows: rows measured (for performance, labelled predictions).
        log_e: natural log of the evidence so far in the epoch; for ``"all"``, of the mean over the
            series that may raise in this window (None if none may).
        guilty: whether this row is named by the alert raised at this window; for ``"all"``,
            whether an alert was raised.
        psi: population stability index against training, over the profile's bins.
        psi_noise: its mean were there no drift, for these numbers of rows.
        total_variation: largest difference in the share of any set of bins, 0 to 1.
        missing_share: share of nulls.
        other_share: share of categories that the profile does not list.
        brier: mean Brier loss of predictions one label delay before this window.
        log_loss: their mean log loss.
        roc_auc: their area under the ROC curve.
        positive_share: their mean label.
    """

    model: str
    version: int
    epoch: int
    window_start: datetime
    window_end: datetime
    kind: Literal["column", "performance", "all"]
    name: str
    rows: int
    log_e: float | None
    guilty: bool
    psi: float | None = None
    psi_noise: float | None = None
    total_variation: float | None = None
    missing_share: float | None = None
    other_share: float | None = None
    brier: float | None = None
    log_loss: float | None = None
    roc_auc: float | None = None
    positive_share: float | None = None


_TYPES: dict[str, pl.DataType] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us"),
    "float": pl.Float64(),
}

FIGURES_SCHEMA: dict[str, pl.DataType] = {
    field.name: _TYPES["str" if "Literal" in str(field.type) else str(field.type).split(" |")[0]]
    for field in fields(WindowFigures)
}


def figures_frame(figures: Sequence[WindowFigures]) -> pl.DataFrame:
    """Figures as a frame of ``FIGURES_SCHEMA``, one row each; empty for none."""
    return pl.DataFrame([asdict(row) for row in figures], schema=FIGURES_SCHEMA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A change that a monitor found; at most one in each epoch of a version.

    Args:
        id: follows from model, version and epoch alone, so raising it again is the same alert.
        model: the model's name.
        version: its version.
        epoch: the epoch it ends.
        window_start: start of the window at whose end it was raised.
        window_end: end of that window.
        cause: ``"drift"`` of columns, ``"performance"``, or ``"both"``.
        columns: guilty columns, strongest evidence first.
        log_e: natural log of the mean evidence.
        message: the whole in one sentence.
    """

    id: str
    model: str
    version: int
    epoch: int
    window_start: datetime
    window_end: datetime
    cause: Cause
    columns: tuple[str, ...]
    log_e: float
    message: str

    @property
    def e_value(self) -> float:
        """The mean evidence; an alert is raised from 1/false_alarm on. Capped at 1e300."""
        return math.exp(min(self.log_e, _LARGEST_LOG))

    def to_dict(self) -> dict[str, Any]:
        """JSON values that ``from_dict`` takes back; times in ISO format."""
        values = asdict(self)
        values["columns"] = list(self.columns)
        for field in ("window_start", "window_end"):
            values[field] = values[field].isoformat()
        return values

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Alert:
        """The alert that ``to_dict`` wrote."""
        times = {f: datetime.fromisoformat(value[f]) for f in ("window_start", "window_end")}
        return cls(**{**value, **times, "columns": tuple(value["columns"])})


def make_alert(total: WindowFigures, guilty: Sequence[WindowFigures], threshold: float) -> Alert:
    """The alert of a window.

    Args:
        total: the row of kind ``"all"``, with its evidence.
        guilty: the rows it names, strongest first.
        threshold: the evidence from which an alert is raised.
    """
    columns = [row for row in guilty if row.kind == "column"]
    worse = [row for row in guilty if row.kind == "performance"]
    cause: Cause = "both" if columns and worse else "performance" if worse else "drift"
    key = {"model": total.model, "version": total.version, "epoch": total.epoch}
    log_e = 0.0 if total.log_e is None else total.log_e
    evidence = math.exp(min(log_e, _LARGEST_LOG))
    return Alert(
        id=content_hash(key)[:16],
        model=total.model,
        version=total.version,
        epoch=total.epoch,
        window_start=total.window_start,
        window_end=total.window_end,
        cause=cause,
        columns=tuple(row.name for row in columns),
        log_e=log_e,
        message=(
            f"{total.model} version {total.version}, {total.window_start:%Y-%m-%d %H:%M} to "
            f"{total.window_end:%Y-%m-%d %H:%M}: {_findings(columns, worse)} "
            f"(evidence {evidence:.3g}, alert from {threshold:g})"
        ),
    )


def _findings(columns: Sequence[WindowFigures], worse: Sequence[WindowFigures]) -> str:
    found = []
    if columns:
        shown = ", ".join(f"{row.name} (PSI {row.psi:.2f})" for row in columns[:_SHOWN])
        more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
        found.append(f"inputs drifted: {shown}{more}")
    found += [f"predictions became worse: Brier loss {row.brier:.4f}" for row in worse]
    return "; ".join(found)
