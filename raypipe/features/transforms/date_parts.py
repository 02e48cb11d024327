"""date_parts: the parts of a date or a time as numbers, or as points on a circle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, Value, applied, settled, strict
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
from raypipe.features.transforms.clock import PARTS
from raypipe.features.zones import Zone, zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CODE = {part: f"{{}}.{part}" for part in ("year", "month", "day", "hour", "minute", "second")}
_CODE["weekday"] = "{}.isoweekday()"


@dataclass(frozen=True, slots=True)
class DateParts(Transform):
    """Parts of a date or a time, each as ``<column>_<part>``; null becomes NaN.

    Times are naive UTC. With a time zone the parts are those of its local clock, by the offsets
    that the recipe keeps (see ``Zone``); at the end of summer time an hour comes twice. Weekdays
    are ISO's: Monday 1 to Sunday 7. The first of January is yearday 1. ``week`` is ISO's, and
    belongs to ``iso_year``.

    With ``cyclical`` a part is the point ``<column>_<part>_sin``, ``<column>_<part>_cos`` on a
    circle, so that the last value stands beside the first. The circle has room for the longest
    case: 366 days, 53 weeks, 31 days.
    """

    column: str
    parts: tuple[str, ...]
    zone: Zone | None = None
    cyclical: bool = False
    kind: ClassVar[str] = "date_parts"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """A whole number for each part, or two floats."""
        dtype = schema[self.column]
        timed = dtype == pl.Datetime
        check_type(self.kind, self.column, dtype, timed or dtype == pl.Date, "a date or a datetime")
        if self.zone is not None:
            check_type(f"{self.kind} (tz)", self.column, dtype, timed, "a datetime")
        for part in self.parts:
            fine = timed or not PARTS[part].timed
            check_type(f"{self.kind} ({part})", self.column, dtype, fine, "a datetime")
        if self.cyclical:
            ends = [f"{part}_{end}" for part in self.parts for end in ("sin", "cos")]
            return {f"{self.column}_{end}": pl.Float64() for end in ends}
        return {f"{self.column}_{part}": pl.Int64() for part in self.parts}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        made = _Cycles if self.cyclical else _Parts
        return made(tuple(self.outputs(schema)), self.column, self.parts, self.zone)

    def to_json(self) -> dict[str, Json]:
        """The column and its parts; zone and circle only where there are."""
        data: dict[str, Json] = {"column": self.column, "parts": list(self.parts)}
        if self.zone is not None:
            data["tz"] = self.zone.to_json()
        if self.cyclical:
            data["cyclical"] = True
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "parts", *({"tz", "cyclical"} & data.keys())}, cls.kind)
        if not isinstance(data["parts"], list) or data.get("cyclical", True) is not True:
            raise tampered(cls.kind, "parts is not a list, or cyclical is not true", "parts")
        cyclical = "cyclical" in data
        parts = _checked(data["parts"], cyclical)
        there = Zone.from_json(data["tz"]) if "tz" in data else None
        return cls(check_text(data["column"], cls.kind, "column"), parts, there, cyclical)


@dataclass(frozen=True, slots=True)
class _Parts(Fitted):
    column: str
    parts: tuple[str, ...]
    zone: Zone | None

    def local(self, place: int) -> pl.Expr:
        column = pl.col(slot(place))
        return column if self.zone is None else self.zone.local(column)

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = self.local(source[self.column])
        return frame.with_columns(
            PARTS[part].batch(column).cast(pl.Int64).alias(slot(target[output]))
            for part, output in zip(self.parts, self.outputs, strict=True)
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        have = source[self.column]
        local = None if self.zone is None else self.zone.localizer()
        places = [
            (target[output], PARTS[part].row)
            for part, output in zip(self.parts, self.outputs, strict=True)
        ]

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                if local is not None:
                    value = local(value)
                for place, part in places:
                    slots[place] = part(value)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = self.clock(write, source)
        for part, output in zip(self.parts, self.outputs, strict=True):
            if part in _CODE:
                write.values[target[output]] = strict(write, pl.Int64(), _CODE[part], value)
            else:
                write.put(target[output], applied(write, pl.Int64(), PARTS[part].row, value))
        return True

    def clock(self, write: RowWriter, source: Slots) -> Value:
        """The time by the local clock, as code."""
        value = settled(write, write.values[source[self.column]])
        if self.zone is None:
            return value
        return settled(write, applied(write, value.dtype, self.zone.localizer(), value))


class _Cycles(_Parts):
    """The same as points on a circle; the row's come from a table of all there are."""

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = self.local(source[self.column])
        made = []
        for number, part in enumerate(self.parts):
            first, step = _turn(part)
            angle = (PARTS[part].batch(column).cast(pl.Int64) - first).cast(pl.Float64) * step
            sin, cos = (slot(target[name]) for name in self.outputs[2 * number : 2 * number + 2])
            made += [angle.sin().alias(sin), angle.cos().alias(cos)]
        return frame.with_columns(made)

    def row(self, source: Slots, target: Slots) -> RowStep:
        have = source[self.column]
        local = None if self.zone is None else self.zone.localizer()
        ends = [target[name] for name in self.outputs]
        points = [_points(part) for part in self.parts]
        places = list(zip(points, ends[::2], ends[1::2], strict=True))

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                if local is not None:
                    value = local(value)
                for point, sin, cos in places:
                    slots[sin], slots[cos] = point(value)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = self.clock(write, source)
        for number, part in enumerate(self.parts):
            point = settled(write, applied(write, FLOAT, _points(part), value, nan=False))
            for end, name in enumerate(self.outputs[2 * number : 2 * number + 2]):
                item = write.piece("{}[{}]", point.body, write.bind(end))
                write.values[target[name]] = Value(item, FLOAT, point.nulls)
        return True


def _points(part: str) -> Callable[[Any], tuple[float, float]]:
    first, turn = _turn(part)
    angles = [value * turn for value in range(PARTS[part].period or 0)]
    points = [(math.sin(angle), math.cos(angle)) for angle in angles]
    number = PARTS[part].row
    return lambda value: points[number(value) - first]


def _turn(part: str) -> tuple[int, float]:
    period = PARTS[part].period
    assert period is not None
    return PARTS[part].first, 2 * math.pi / period


def _checked(parts: Sequence[str], cyclical: bool) -> tuple[str, ...]:
    known = [name for name, part in PARTS.items() if part.period is not None or not cyclical]
    for part in parts:
        if not isinstance(part, str) or part not in known:
            raise RecipeError(
                f"date_parts does not know this part{' of a circle' if cyclical else ''}",
                repr(part)[:100],
                f"Use: {', '.join(known)}.",
                "parts",
            )
    if not parts or len(set(parts)) != len(parts):
        raise RecipeError("date_parts needs each part once", repr(list(parts)), None, "parts")
    return tuple(parts)


def date_parts(
    column: str, parts: Sequence[str], *, tz: str | None = None, cyclical: bool = False
) -> DateParts:
    """Parts of a date or a time as features named ``<column>_<part>``; null becomes NaN.

    Args:
        column: a date or a datetime (UTC).
        parts: of year, iso_year, quarter, month, week (ISO), day, weekday (Monday 1 to Sunday 7),
            weekend (0 or 1), yearday, days_in_month, and for a datetime hour, minute, second,
            minute_of_day.
        tz: the IANA name of the time zone whose local clock the parts are of; UTC by default.
        cyclical: give sine and cosine of the part's place in its period instead of the number;
            not for year, iso_year, weekend and days_in_month.

    Raises:
        RecipeError: a part is unknown or stands twice, or the time zone is unknown.
    """
    there = None if tz is None else zone(tz)
    name = check_text(column, "date_parts", "column")
    return DateParts(name, _checked(parts, bool(cyclical)), there, bool(cyclical))
