"""date_parts: the parts of a date or a time as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import applied, settled, strict
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
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

PARTS: dict[str, tuple[Callable[[pl.Expr], pl.Expr], Callable[[Any], int]]] = {
    "year": (lambda c: c.dt.year(), lambda v: int(v.year)),
    "month": (lambda c: c.dt.month(), lambda v: int(v.month)),
    "day": (lambda c: c.dt.day(), lambda v: int(v.day)),
    "weekday": (lambda c: c.dt.weekday(), lambda v: int(v.isoweekday())),
    "yearday": (lambda c: c.dt.ordinal_day(), lambda v: int(v.timetuple().tm_yday)),
    "hour": (lambda c: c.dt.hour(), lambda v: int(v.hour)),
    "minute": (lambda c: c.dt.minute(), lambda v: int(v.minute)),
}
_OF_TIME = ("hour", "minute")
_CODE = {part: f"{{}}.{part}" for part in ("year", "month", "day", "hour", "minute")}
_CODE["weekday"] = "{}.isoweekday()"


@dataclass(frozen=True, slots=True)
class DateParts(Transform):
    """Parts of a date or a time, each as ``<column>_<part>``, in UTC; null becomes NaN.

    Weekdays are ISO's: Monday 1 to Sunday 7. The first of January is yearday 1.
    """

    column: str
    parts: tuple[str, ...]
    kind: ClassVar[str] = "date_parts"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """A whole number for each part."""
        dtype = schema[self.column]
        timed = dtype == pl.Datetime
        check_type(self.kind, self.column, dtype, timed or dtype == pl.Date, "a date or a datetime")
        for part in self.parts:
            fine = timed or part not in _OF_TIME
            check_type(f"{self.kind} ({part})", self.column, dtype, fine, "a datetime")
        return {f"{self.column}_{part}": pl.Int64() for part in self.parts}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Parts(tuple(self.outputs(schema)), self.column, self.parts)

    def to_json(self) -> dict[str, Json]:
        """The column and its parts."""
        return {"column": self.column, "parts": list(self.parts)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "parts"}, cls.kind)
        if not isinstance(data["parts"], list):
            raise tampered(cls.kind, "parts is not a list", "parts")
        return cls(check_text(data["column"], cls.kind, "column"), _checked(data["parts"]))


@dataclass(frozen=True, slots=True)
class _Parts(Fitted):
    column: str
    parts: tuple[str, ...]

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = pl.col(slot(source[self.column]))
        return frame.with_columns(
            PARTS[part][0](column).cast(pl.Int64).alias(slot(target[output]))
            for part, output in zip(self.parts, self.outputs, strict=True)
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        have = source[self.column]
        places = [
            (target[output], PARTS[part][1])
            for part, output in zip(self.parts, self.outputs, strict=True)
        ]

        def step(slots: list[Any]) -> None:
            value: date | datetime | None = slots[have]
            if value is not None:
                for place, part in places:
                    slots[place] = part(value)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = settled(write, write.values[source[self.column]])
        for part, output in zip(self.parts, self.outputs, strict=True):
            if part in _CODE:
                found = strict(write, pl.Int64(), _CODE[part], value)
            else:
                found = applied(write, pl.Int64(), PARTS[part][1], value)
            write.values[target[output]] = found
        return True


def _checked(parts: Sequence[str]) -> tuple[str, ...]:
    for part in parts:
        if not isinstance(part, str) or part not in PARTS:
            raise RecipeError(
                "date_parts does not know this part",
                repr(part)[:100],
                f"Use: {', '.join(PARTS)}.",
                "parts",
            )
    if not parts or len(set(parts)) != len(parts):
        raise RecipeError("date_parts needs each part once", repr(list(parts)), None, "parts")
    return tuple(parts)


def date_parts(column: str, parts: Sequence[str]) -> DateParts:
    """Parts of a date or a time as features named ``<column>_<part>``; null becomes NaN.

    Args:
        column: a date or a datetime (UTC).
        parts: of year, month, day, weekday (Monday 1 to Sunday 7), yearday, hour, minute.

    Raises:
        RecipeError: a part is unknown or stands twice.
    """
    return DateParts(check_text(column, "date_parts", "column"), _checked(parts))
