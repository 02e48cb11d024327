"""time_between: how long from one time to another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, applied, settled
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
    check_type,
    slot,
    tampered,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Microseconds.
UNITS = {
    "microseconds": 1,
    "milliseconds": 1_000,
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
    "weeks": 604_800_000_000,
}


@dataclass(frozen=True, slots=True)
class TimeBetween(Transform):
    """``end - start`` in a unit, as a float; negative where the end comes first.

    Whole units are exact; a rest is rounded as floats are. A date stands for its first moment in
    UTC. Null in either gives null. Units are of fixed length: a day is 24 hours, whatever a local
    clock does.
    """

    start: str
    end: str
    unit: str
    name: str
    kind: ClassVar[str] = "time_between"

    @property
    def reads(self) -> tuple[str, ...]:
        """Both times."""
        return tuple(dict.fromkeys((self.start, self.end)))

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The difference."""
        for column in self.reads:
            dtype = schema[column]
            fine = dtype == pl.Datetime or dtype == pl.Date
            check_type(self.kind, column, dtype, fine, "a date or a datetime")
        return {self.name: pl.Float64()}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.name)
        dates = tuple(schema[column] == pl.Date for column in (self.start, self.end))
        return _Between(tuple(self.outputs(schema)), self.start, self.end, UNITS[self.unit], dates)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"start": self.start, "end": self.end, "unit": self.unit, "name": self.name}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"start", "end", "unit", "name"}, cls.kind)
        return cls(*_checked(data["start"], data["end"], data["unit"], data["name"]))


@dataclass(frozen=True, slots=True)
class _Between(Fitted):
    start: str
    end: str
    unit: int
    dates: tuple[bool, ...]

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        start, end = (
            pl.col(slot(source[name])).cast(pl.Datetime("us")).cast(pl.Int64)
            for name in (self.start, self.end)
        )
        micros = end - start
        # Of the size alone, so that a small negative time keeps its digits.
        size = micros.abs()
        whole = size // self.unit
        rest = (size - whole * self.unit).cast(pl.Float64) * (1.0 / self.unit)
        length = whole.cast(pl.Float64) + rest
        made = pl.when(micros < 0).then(-length).otherwise(length)
        return frame.with_columns(made.alias(slot(target[self.outputs[0]])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        first, last, place = source[self.start], source[self.end], target[self.outputs[0]]
        done = self._done()

        def step(slots: list[Any]) -> None:
            start, end = slots[first], slots[last]
            if start is not None and end is not None:
                slots[place] = done(start, end)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        ends = (settled(write, write.values[source[name]]) for name in (self.start, self.end))
        write.put(target[self.outputs[0]], applied(write, FLOAT, self._done(), *ends, nan=False))
        return True

    def _done(self) -> Callable[[Any, Any], float]:
        unit, part = self.unit, 1.0 / self.unit
        start_date, end_date = self.dates

        def length(start: Any, end: Any) -> float:
            if start_date:
                start = datetime(start.year, start.month, start.day)
            if end_date:
                end = datetime(end.year, end.month, end.day)
            found = end - start
            micros = (found.days * 86_400 + found.seconds) * 1_000_000 + found.microseconds
            whole, rest = divmod(abs(micros), unit)
            made = float(whole) + float(rest) * part
            return -made if micros < 0 else made

        return length


def _checked(start: Any, end: Any, unit: Any, name: Any) -> tuple[str, str, str, str]:
    first = check_text(start, "time_between", "start")
    last = check_text(end, "time_between", "end")
    if not isinstance(unit, str) or unit not in UNITS:
        raise RecipeError(
            "time_between does not know this unit",
            repr(unit)[:100],
            f"Use: {', '.join(UNITS)}.",
            "unit",
        )
    return first, last, unit, check_text(name, "time_between", "name", 3_000)


def time_between(
    start: str, end: str, *, unit: str = "seconds", name: str | None = None
) -> TimeBetween:
    """How long from one time to another, as a feature; negative where the end comes first.

    Args:
        start: a date or a datetime (UTC).
        end: a date or a datetime (UTC).
        unit: microseconds, milliseconds, seconds, minutes, hours, days (24 hours) or weeks.
        name: of the feature; ``<start>_to_<end>_<unit>`` by default.

    Raises:
        RecipeError: the unit is unknown, or a name is not a text.
    """
    made = f"{start}_to_{end}_{unit}" if name is None else name
    return TimeBetween(*_checked(start, end, unit, made))
