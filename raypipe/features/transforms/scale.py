"""scale: numbers brought to one size."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, strict
from raypipe.features.quantiles import QuantileSketch
from raypipe.features.sums import ExactSum, deviation
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    State,
    check_keys,
    check_text,
    slot,
    tampered,
)
from raypipe.features.transforms.numbers import (
    OfNumber,
    Range,
    as_floats,
    float_code,
    inverse,
    nothing,
    state_numbers,
)
from raypipe.features.transforms.shared import RowsView

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

How = Literal["standard", "min_max", "robust", "max_abs"]


@dataclass(frozen=True, slots=True)
class Scale(OfNumber):
    """A numeric column as ``(x - center) * factor``, learned from the finite values of the fit.

    | how | center | factor |
    |---|---|---|
    | standard | mean | 1 / standard deviation of the population |
    | min_max | least | 1 / (greatest - least) |
    | robust | median | 1 / (upper quartile - lower quartile) |
    | max_abs | 0 | 1 / greatest absolute value |

    Where the spread is 0 (a constant column), or so small that 1 by it is infinite, the factor is
    1. Null stays null and NaN stays NaN; an infinity keeps its sign; a difference too large for a
    float is infinite. All but robust are exact and the same for parts in any order; the quartiles
    are those of the quantile sketch.
    """

    how: How
    kind: ClassVar[str] = "scale"

    def state(self, schema: Schema) -> State:
        """Exact sums, the range, or a quantile sketch."""
        made: State = _STATES[self.how](self.column)
        return made

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With center and factor."""
        center, factor = state_numbers(state, self.kind, self.column, 2)
        if factor <= 0:
            raise tampered(self.kind, "its factor is not above 0", self.column)
        return _Scaled((self.column,), center, factor)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "how": self.how}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "how"}, cls.kind)
        return cls(check_text(data["column"], cls.kind, "column"), _checked(data["how"]))


@dataclass(slots=True)
class _Moments:
    column: str
    values: ExactSum = field(default_factory=ExactSum)
    squares: ExactSum = field(default_factory=ExactSum)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        values = view.finite(self.column)
        self.values.update(values)
        self.squares.update_squares(values)

    def merge(self, other: _Moments) -> None:
        self.values.merge(other.values)
        self.squares.merge(other.squares)

    def finish(self) -> Json:
        if not self.values.count:
            raise nothing(Scale.kind, self.column, _LEAVE)
        return [self.values.mean(), inverse(deviation(self.values, self.squares))]


class _Spread(Range):
    def finish(self) -> Json:
        if self.empty:
            raise nothing(Scale.kind, self.column, _LEAVE)
        return [self.low, inverse(Fraction(self.high) - Fraction(self.low))]


class _Largest(Range):
    def finish(self) -> Json:
        if self.empty:
            raise nothing(Scale.kind, self.column, _LEAVE)
        return [0.0, inverse(max(-self.low, self.high))]


@dataclass(slots=True)
class _Quartiles:
    column: str
    sketch: QuantileSketch = field(default_factory=QuantileSketch)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        self.sketch.merge(view.sketch(self.column))

    def merge(self, other: _Quartiles) -> None:
        self.sketch.merge(other.sketch)

    def finish(self) -> Json:
        if not self.sketch.count:
            raise nothing(Scale.kind, self.column, _LEAVE)
        low, middle, high = map(float, self.sketch.quantiles([0.25, 0.5, 0.75]))
        return [middle + 0.0, inverse(Fraction(high) - Fraction(low))]


_LEAVE = "Leave the column out."
_STATES: dict[str, type[Any]] = {
    "standard": _Moments,
    "min_max": _Spread,
    "robust": _Quartiles,
    "max_abs": _Largest,
}


@dataclass(frozen=True, slots=True)
class _Scaled(Fitted):
    center: float
    factor: float

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        name = self.outputs[0]
        scaled = (as_floats(source[name]) - self.center) * self.factor
        return frame.with_columns(scaled.alias(slot(target[name])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place = source[self.outputs[0]], target[self.outputs[0]]
        center, factor = self.center, self.factor

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                slots[place] = (value - center) * factor  # an integer becomes a float here

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = float_code(write, source[self.outputs[0]])
        gaps = {"center": write.bind(self.center), "factor": write.bind(self.factor)}
        made = strict(write, FLOAT, "({} - {center}) * {factor}", value, nan=value.nan, gaps=gaps)
        write.put(target[self.outputs[0]], made)
        return True


def _checked(how: Any) -> Any:
    if not isinstance(how, str) or how not in _STATES:
        raise RecipeError(
            "scale does not know this way", repr(how)[:100], f"Use: {', '.join(_STATES)}.", "how"
        )
    return how


def scale(*columns: str, how: How = "standard") -> tuple[Scale, ...]:
    """Numeric columns as features, brought to one size by what the fit saw.

    Args:
        *columns: numbers or booleans.
        how: "standard" (mean 0, deviation 1), "min_max" (from 0 to 1), "robust" (median 0,
            quartiles 1 apart) or "max_abs" (from -1 to 1, zero kept). A constant column is only
            moved.

    Raises:
        RecipeError: the way is unknown, or a name is not a text.
    """
    way = _checked(how)
    return tuple(Scale(check_text(column, "scale", "column"), way) for column in columns)
