"""What a monitor watches, how often it looks, and how rarely it may cry wolf."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from raypipe.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitorConfig:
    """Settings of a monitor; a state remembers them and refuses to go on under others.

    Args:
        false_alarm: the largest allowed probability that an epoch without any change ever raises
            an alert, however long it lasts and however often it is polled; between 0 and 1.
        window: the length of a window of event time; figures are computed once for each window.
        label_delay: how long after a prediction's event time its label is waited for. Labels that
            come later do not enter the test.
        psi_floor: a column can only raise an alert in a window where its population stability
            index exceeds its mean under no drift by at least this; 0 turns the floor off.
        columns: the columns to watch; None watches every column of the training profile.
        ignore: columns not to watch.
        performance_margin: how much the mean Brier loss may exceed the validation loss before it
            counts as worse; it should cover the sampling error of the validation loss.
        min_rows: a window with fewer rows adds to the evidence but raises no alert by itself.

    Raises:
        ConfigError: a value is out of its range; ``field`` names it.
    """

    false_alarm: float = 0.01
    window: timedelta = timedelta(days=7)
    label_delay: timedelta = timedelta(days=7)
    psi_floor: float = 0.1
    columns: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    performance_margin: float = 0.01
    min_rows: int = 100

    def __post_init__(self) -> None:
        if self.columns is not None:
            object.__setattr__(self, "columns", _names("columns", self.columns))
        object.__setattr__(self, "ignore", _names("ignore", self.ignore))
        _check(0 < self.false_alarm < 1, "false_alarm", self.false_alarm, "above 0 and below 1")
        _check(self.window > timedelta(0), "window", self.window, "longer than 0")
        _check(self.label_delay >= timedelta(0), "label_delay", self.label_delay, "at least 0")
        _check(self.psi_floor >= 0, "psi_floor", self.psi_floor, "at least 0")
        margin = self.performance_margin
        _check(0 <= margin < 1, "performance_margin", margin, "at least 0 and below 1")
        _check(self.min_rows >= 1, "min_rows", self.min_rows, "at least 1")

    def watched(self, available: Iterable[str]) -> tuple[str, ...]:
        """The columns to watch out of those a profile has, sorted by name.

        Raises:
            ConfigError: ``columns`` or ``ignore`` names a column that the profile lacks.
        """
        known = set(available)
        for field, names in (("columns", self.columns or ()), ("ignore", self.ignore)):
            unknown = sorted(set(names) - known)
            if unknown:
                raise ConfigError(
                    f"the training profile has no column that {field} names",
                    ", ".join(unknown),
                    f"Known columns: {', '.join(sorted(known)) or 'none'}.",
                    field,
                )
        chosen = known if self.columns is None else set(self.columns)
        return tuple(sorted(chosen - set(self.ignore)))

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values; durations in seconds."""
        values = asdict(self)
        for field in ("window", "label_delay"):
            values[field] = values[field].total_seconds()
        return values


def _names(field: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(f"{field} is a list of column names", value, "Pass a tuple.", field)
    return tuple(value)


def _check(holds: bool, field: str, value: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{field} must be {wanted}", value, None, field)
