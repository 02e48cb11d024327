"""lag and window: what came before a row, of its own key.

No transform of single rows can look at other rows. So these read raw columns of their own names,
which ``Recipe.with_history`` fills from the events, for a table as for one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    Transform,
    check_keys,
    check_text,
    slot,
    tampered,
)
from raypipe.features.transforms.numbers import check_columns, check_numeric, float_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATS = ("count", "sum", "mean", "std", "min", "max")
_MOST = 10**9
_LONGEST = timedelta(days=36_525)
_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000))


@dataclass(frozen=True, slots=True)
class Earlier(Transform):
    """Figures of the strictly earlier events of a row's key, read from columns of their names.

    Attributes:
        column: the number or boolean of an event.
        by: the key.
        time: the column of times.
        delay: how much earlier an event must be at least, such as until its value is known.
        names: the columns.
    """

    column: str
    by: tuple[str, ...]
    time: str
    delay: timedelta
    names: tuple[str, ...]
    mends_null: ClassVar[bool] = True  # the first event of a key has none before it

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that hold the history."""
        return self.names

    @property
    def n(self) -> int | None:
        """The place of the one event before, counted backwards from 1."""
        return None

    @property
    def last(self) -> int | None:
        """How many events a window holds."""
        return None

    @property
    def within(self) -> timedelta | None:
        """How far back a window reaches."""
        return None

    @property
    def stats(self) -> tuple[str, ...]:
        """Figures of a window, one for each name."""
        return ()

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The same columns as floats."""
        for name in self.names:
            check_numeric(self.kind, name, schema[name])
        return dict.fromkeys(self.names, pl.Float64())

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.names[0])
        return _Read(self.names)

    def _shared(self) -> dict[str, Json]:
        return {
            "column": self.column,
            "by": list(self.by),
            "time": self.time,
            "delay_us": self.delay // timedelta(microseconds=1),
            "names": list(self.names),
        }


@dataclass(frozen=True, slots=True)
class Lag(Earlier):
    """The value of the n-th event before a row; null without one, and for a null or a NaN.

    An infinity is a value like others.
    """

    place: int
    kind: ClassVar[str] = "lag"

    @property
    def n(self) -> int:
        """The place of the event, counted backwards from 1."""
        return self.place

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {**self._shared(), "n": self.place}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "by", "time", "delay_us", "names", "n"}, cls.kind)
        names = check_columns(data["names"], cls.kind, 1)
        if len(names) > 1:
            raise tampered(cls.kind, "it has one name", "names")
        return cls(*_where(data, cls.kind), names, _count(data["n"], cls.kind, "n"))


@dataclass(frozen=True, slots=True)
class Window(Earlier):
    """Figures of the last events before a row, so many or not older than a duration."""

    figures: tuple[str, ...]
    rows: int | None
    duration: timedelta | None
    kind: ClassVar[str] = "window"

    @property
    def last(self) -> int | None:
        """How many events it holds."""
        return self.rows

    @property
    def within(self) -> timedelta | None:
        """How far back it reaches."""
        return self.duration

    @property
    def stats(self) -> tuple[str, ...]:
        """Its figures, one for each name."""
        return self.figures

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        span = None if self.duration is None else self.duration // timedelta(microseconds=1)
        return {**self._shared(), "stats": list(self.figures), "last": self.rows, "within_us": span}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        own = {"stats", "last", "within_us"}
        check_keys(data, {"column", "by", "time", "delay_us", "names", *own}, cls.kind)
        column, by, time, delay = _where(data, cls.kind)
        span = data["within_us"]
        within = None if span is None else _duration(span, cls.kind, "within")
        reach = _reach(data["last"], within, delay)
        stats = _stats(data["stats"])
        names = check_columns(data["names"], cls.kind, 1)
        if len(names) != len(stats):
            raise tampered(cls.kind, "it has not a name for each figure", "names")
        return cls(column, by, time, delay, names, stats, *reach)


@dataclass(frozen=True, slots=True)
class _Read(Fitted):
    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        return frame.with_columns(
            pl.col(slot(source[name])).cast(pl.Float64).alias(slot(target[name]))
            for name in self.outputs
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        pairs = [(source[name], target[name]) for name in self.outputs]

        def step(slots: list[Any]) -> None:
            for have, place in pairs:
                value = slots[have]
                slots[place] = None if value is None else float(value)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        for name in self.outputs:
            write.values[target[name]] = float_code(write, source[name])
        return True


def _where(data: Mapping[str, Json], kind: str) -> tuple[str, tuple[str, ...], str, timedelta]:
    return (
        check_text(data["column"], kind, "column"),
        check_columns(data["by"], kind, 1),
        check_text(data["time"], kind, "time"),
        _duration(data["delay_us"], kind, "delay"),
    )


def _duration(value: Any, kind: str, field: str) -> timedelta:
    if isinstance(value, int) and not isinstance(value, bool):
        most = _LONGEST // timedelta(microseconds=1)
        value = timedelta(microseconds=value) if 0 <= value <= most else None
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= _LONGEST:
        raise RecipeError(
            f"{kind}: {field} is not a duration", repr(value)[:100],
            "Give a timedelta between 0 and 100 years.", field,
        )  # fmt: skip
    return value


def _count(value: Any, kind: str, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        raise RecipeError(
            f"{kind}: {field} is not a number of events", repr(value)[:100],
            f"Give a whole number between 1 and {_MOST}.", field,
        )  # fmt: skip
    return value


def _reach(
    last: Any, within: timedelta | None, delay: timedelta
) -> tuple[int | None, timedelta | None]:
    if (last is None) == (within is None):
        raise RecipeError(
            "window looks back over a number of events or a duration",
            f"last={last!r}, within={within!r}",
            "Give one of last= and within=.",
            "last",
        )
    if within is not None and within <= delay:
        raise RecipeError(
            "window ends before it begins", f"within={within}, delay={delay}",
            "Give a duration longer than the delay.", "within",
        )  # fmt: skip
    return None if last is None else _count(last, "window", "last"), within


def _stats(given: Any) -> tuple[str, ...]:
    stats = check_columns(given, "window", 1)
    for one in stats:
        if one not in STATS:
            raise RecipeError(
                "window: no such figure", repr(one)[:100], f"Give of {', '.join(STATS)}.", "stats"
            )
    return stats


def _told(duration: timedelta) -> str:
    us = duration // timedelta(microseconds=1)
    return next((f"{us // size}{unit}" for unit, size in _UNITS if us % size == 0), f"{us}us")


def lag(
    column: str,
    n: int = 1,
    *,
    by: str | Sequence[str],
    time: str,
    delay: timedelta = timedelta(0),
    name: str | None = None,
) -> Lag:
    """The value that a column had in the n-th event before a row, of the same key.

    Only strictly earlier events count; of events at one time the last in the table's order is the
    latest. Without such an event, or where its value is null or NaN, the feature is missing.
    ``Recipe.with_history`` fills the column ``name``, which is then read like any other.

    Args:
        column: a number or a boolean of the events.
        n: 1 for the last event before.
        by: the key.
        time: the column of times.
        delay: an event counts from so long after its time on: until its value is known.
        name: of the feature; ``<column>_lag<n>`` by default.

    Raises:
        RecipeError: n is not a positive whole number, the delay is negative, or a name no text.
    """
    keys = [by] if isinstance(by, str) else list(by)
    place = _count(n, "lag", "n")
    given = f"{column}_lag{n}" if name is None else name
    return Lag(
        check_text(column, "lag", "column"),
        check_columns(keys, "lag", 1),
        check_text(time, "lag", "time"),
        _duration(delay, "lag", "delay"),
        (check_text(given, "lag", "name", 3_000),),
        place,
    )


def window(
    column: str,
    stats: Sequence[str] = ("mean",),
    *,
    by: str | Sequence[str],
    time: str,
    last: int | None = None,
    within: timedelta | None = None,
    delay: timedelta = timedelta(0),
    name: str | None = None,
) -> Window:
    """Figures of a column over the events before a row, of the same key.

    Only strictly earlier events count: the last so many of them, or those not older than
    ``within`` (one that is exactly so old counts). Null, NaN and infinite values are left out of
    the figures, though their events are among the last so many. Of no value, count and sum are 0
    and the others missing; all are missing for a row whose key or time is null. The standard
    deviation is that of a population. The bits do not depend on the order of the events, but that
    of events at one time the last in the table's order are the latest.
    ``Recipe.with_history`` fills the columns, which are then read like any other.

    Args:
        column: a number or a boolean of the events.
        stats: some of count, sum, mean, std, min, max.
        by: the key.
        time: the column of times.
        last: how many events.
        within: how far back.
        delay: an event counts from so long after its time on: until its value is known.
        name: begins the features' names; ``<column>`` by default. They are ``<name>_<stat>_last5``
            or ``<name>_<stat>_7d``.

    Raises:
        RecipeError: not one of last and within is given, or a setting is not valid.
    """
    keys = [by] if isinstance(by, str) else list(by)
    figures = _stats([stats] if isinstance(stats, str) else list(stats))
    wait = _duration(delay, "window", "delay")
    reach = _reach(last, None if within is None else _duration(within, "window", "within"), wait)
    told = f"last{last}" if within is None else _told(within)
    start = check_text(column if name is None else name, "window", "name", 900)
    return Window(
        check_text(column, "window", "column"),
        check_columns(keys, "window", 1),
        check_text(time, "window", "time"),
        wait,
        tuple(f"{start}_{one}_{told}" for one in figures),
        figures,
        *reach,
    )
