"""What a monitor remembers, as a value.

A state belongs to one version of one model and one epoch. An epoch begins when the version is first
watched or when an alert has been handled, and raises at most one alert. ``windows.advance`` makes
the next state out of this one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, IntegrityError, MonitorError
from raypipe.core.identity import canonical_json, content_hash
from raypipe.monitoring.figures import Alert
from raypipe.monitoring.martingale import ColumnState
from raypipe.monitoring.performance import empty_ledger
from raypipe.monitoring.restarts import Ledger
from raypipe.monitoring.sketch import Profile, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.monitoring.config import MonitorConfig

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorState:
    """The whole memory of a monitor; equal histories give equal JSON, byte for byte.

    Args:
        model: the model's name.
        version: the version watched.
        epoch: from 0; one more after each handled alert.
        origin: event time at which the version's first window began.
        watermark: event time up to which windows are processed.
        basis: content hash of the reference counts and the settings.
        columns: the martingale of each watched column.
        baseline_loss: the version's mean Brier loss in validation; None: performance untested.
        performance: the e-process of the losses.
        alert: the alert of this epoch, once raised.
    """

    model: str
    version: int
    epoch: int
    origin: datetime
    watermark: datetime
    basis: str
    columns: Mapping[str, ColumnState]
    baseline_loss: float | None
    performance: Ledger
    alert: Alert | None

    @classmethod
    def start(
        cls,
        *,
        model: str,
        version: int,
        origin: datetime,
        profile: Profile,
        config: MonitorConfig,
        baseline_loss: float | None = None,
    ) -> MonitorState:
        """The state before the first window of a version.

        Args:
            model: the model's name.
            version: its version.
            origin: event time at which the first window begins.
            profile: the training profile.
            config: the settings.
            baseline_loss: mean Brier loss in validation; None leaves performance untested.

        Raises:
            ConfigError: a named column is not in the profile, nothing is left to watch, or the
                baseline with its margin leaves no room for a worse loss.
        """
        references = references_of(profile, config)
        if not references and baseline_loss is None:
            raise ConfigError("there is nothing to watch", "no column, no baseline loss")
        if baseline_loss is not None:
            limit = baseline_loss + config.performance_margin
            if not (baseline_loss >= 0 and 0 < limit < 1):
                raise ConfigError(
                    "the validation loss plus the margin must lie between 0 and 1",
                    limit,
                    "Give the mean Brier loss of the validation rows.",
                    "baseline_loss",
                )
        return cls(
            model=model,
            version=version,
            epoch=0,
            origin=origin,
            watermark=origin,
            basis=basis_of(references, config),
            columns={n: ColumnState.empty(len(r.counts)) for n, r in references.items()},
            baseline_loss=baseline_loss,
            performance=empty_ledger(),
            alert=None,
        )

    def key(self, column: str) -> int:
        """The key of a column's uniforms: one for each model, version, epoch and column."""
        return int(content_hash([self.model, self.version, self.epoch, column])[:16], 16)

    def to_json(self) -> str:
        """Canonical JSON that ``from_json`` takes back."""
        return canonical_json(
            {
                "format": _FORMAT,
                "model": self.model,
                "version": self.version,
                "epoch": self.epoch,
                "origin": self.origin.isoformat(),
                "watermark": self.watermark.isoformat(),
                "basis": self.basis,
                "columns": {name: state.to_json() for name, state in self.columns.items()},
                "baseline_loss": self.baseline_loss,
                "performance": self.performance.to_json(),
                "alert": None if self.alert is None else self.alert.to_dict(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> MonitorState:
        """The state that ``to_json`` wrote.

        Raises:
            IntegrityError: the text is not such a state.
        """
        try:
            value: dict[str, Any] = json.loads(text)
            if value.pop("format") != _FORMAT:
                raise ValueError("another format")
            alert = value["alert"]
            return cls(
                model=value["model"],
                version=value["version"],
                epoch=value["epoch"],
                origin=datetime.fromisoformat(value["origin"]),
                watermark=datetime.fromisoformat(value["watermark"]),
                basis=value["basis"],
                columns={n: ColumnState.from_json(c) for n, c in sorted(value["columns"].items())},
                baseline_loss=value["baseline_loss"],
                performance=Ledger.from_json(value["performance"]),
                alert=None if alert is None else Alert.from_dict(alert),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(
                "this is not the state of a monitor", f"{type(error).__name__}: {error}"
            ) from error


def acknowledge(state: MonitorState) -> MonitorState:
    """The state after its alert was handled: the next epoch, fresh evidence, the same reference.

    The bound on false alarms holds for each epoch anew. A change that is still there is found
    again, so whoever retrains on alerts should wait a while between them.

    Raises:
        MonitorError: the state holds no alert.
    """
    if state.alert is None:
        raise MonitorError("there is no alert to acknowledge", f"epoch {state.epoch}")
    return replace(
        state,
        epoch=state.epoch + 1,
        columns={name: ColumnState.empty(len(c.live)) for name, c in state.columns.items()},
        performance=empty_ledger(),
        alert=None,
    )


def references_of(profile: Profile, config: MonitorConfig) -> dict[str, Reference]:
    """The reference counts of the watched columns, by name in order.

    Raises:
        ConfigError: a named column is not in the profile.
    """
    names = config.watched(profile.columns)
    return {name: Reference.of(profile.columns[name]) for name in names}


def basis_of(references: Mapping[str, Reference], config: MonitorConfig) -> str:
    """What evidence was gathered under; it must not change within a state."""
    counts = [reference.to_json() for reference in references.values()]
    return content_hash({"reference": counts, "config": config.to_dict()})
