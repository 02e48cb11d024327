"""cyclical: a number that begins anew, as a point on a circle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions import scalar
from raypipe.expressions.row_base import FLOAT, applied, settled, strict
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
from raypipe.features.transforms.numbers import (
    as_floats,
    check_finite,
    check_numeric,
    float_code,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Cyclical(Transform):
    """``<column>_sin`` and ``<column>_cos`` of a number that begins anew after a period.

    ``sin(x * (2 pi / period))`` and the cosine. Null stays null; NaN and infinities give NaN. Of
    numbers of very many periods the place in the period is as uncertain as ``x`` times 1e-16.
    """

    column: str
    period: float
    kind: ClassVar[str] = "cyclical"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """Sine and cosine."""
        check_numeric(self.kind, self.column, schema[self.column])
        return dict.fromkeys((f"{self.column}_sin", f"{self.column}_cos"), pl.Float64())

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Circle(tuple(self.outputs(schema)), self.column, 2 * math.pi / self.period)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "period": self.period}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "period"}, cls.kind)
        return cls(check_text(data["column"], cls.kind, "column"), _checked(data["period"]))


@dataclass(frozen=True, slots=True)
class _Circle(Fitted):
    column: str
    turn: float

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        angle = as_floats(source[self.column]) * self.turn
        sin, cos = (slot(target[name]) for name in self.outputs)
        return frame.with_columns(angle.sin().alias(sin), angle.cos().alias(cos))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, turn = source[self.column], self.turn
        first, second = (target[name] for name in self.outputs)
        sin, cos, infinite, nan = math.sin, math.cos, math.inf, math.nan

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                angle = float(value) * turn
                if -infinite < angle < infinite:
                    slots[first], slots[second] = sin(angle), cos(angle)
                else:
                    slots[first] = slots[second] = nan

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = float_code(write, source[self.column])
        gaps = {"turn": write.bind(self.turn)}
        angle = settled(write, strict(write, FLOAT, "{} * {turn}", value, gaps=gaps))
        for done, name in zip((scalar.sin, scalar.cos), self.outputs, strict=True):
            write.put(target[name], applied(write, FLOAT, done, angle))
        return True


def _checked(period: Any) -> float:
    number = check_finite(period, "cyclical", "period")
    if not 1e-100 <= number <= 1e100:
        raise RecipeError("cyclical needs a period above 0", repr(period), None, "period")
    return number


def cyclical(*columns: str, period: float) -> tuple[Cyclical, ...]:
    """Numbers that begin anew, such as a wind's direction, as sine and cosine features.

    Args:
        *columns: numbers; of times see ``date_parts(…, cyclical=True)``.
        period: after how much they begin anew, such as 360.

    Raises:
        RecipeError: the period is not a number between 1e-100 and 1e100.
    """
    length = _checked(period)
    return tuple(Cyclical(check_text(name, "cyclical", "column"), length) for name in columns)
