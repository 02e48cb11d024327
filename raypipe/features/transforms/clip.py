"""clip: numbers held between two bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, strict
from raypipe.features.quantiles import QuantileSketch
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
    as_floats,
    check_finite,
    float_code,
    nothing,
    state_numbers,
)
from raypipe.features.transforms.shared import RowsView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl


@dataclass(frozen=True, slots=True)
class Clip(OfNumber):
    """A numeric column as floats; what is beyond a bound becomes the bound, infinities too.

    The bounds are given, or are quantiles of the finite values of the fit. Null stays null, NaN
    stays NaN, and of two zeros each stays as it is.
    """

    low: float | None
    high: float | None
    quantiles: tuple[float, float] | None
    kind: ClassVar[str] = "clip"

    def state(self, schema: Schema) -> State | None:
        """A quantile sketch, or nothing where the bounds are given."""
        return None if self.quantiles is None else _Quantiles(self.column, self.quantiles)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the bounds."""
        low, high = self.low, self.high
        if self.quantiles is not None:
            low, high = state_numbers(state, self.kind, self.column, 2)
            if low > high:
                raise tampered(self.kind, "its lower bound is above the upper one", self.column)
        elif state is not None:
            raise tampered(self.kind, "given bounds have a state", self.column)
        return _Clipped((self.column,), low, high)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        shares = None if self.quantiles is None else list(self.quantiles)
        return {"column": self.column, "low": self.low, "high": self.high, "quantiles": shares}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "low", "high", "quantiles"}, cls.kind)
        column = check_text(data["column"], cls.kind, "column")
        return cls(column, *_checked(data["low"], data["high"], data["quantiles"]))


@dataclass(slots=True)
class _Quantiles:
    column: str
    shares: tuple[float, float]
    sketch: QuantileSketch = field(default_factory=QuantileSketch)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        self.sketch.merge(view.sketch(self.column))

    def merge(self, other: _Quantiles) -> None:
        self.sketch.merge(other.sketch)

    def finish(self) -> Json:
        if not self.sketch.count:
            raise nothing(Clip.kind, self.column, "Give low and high.")
        return [float(value) + 0.0 for value in self.sketch.quantiles(self.shares)]


@dataclass(frozen=True, slots=True)
class _Clipped(Fitted):
    low: float | None
    high: float | None

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        name = self.outputs[0]
        clipped = as_floats(source[name]).clip(self.low, self.high)
        return frame.with_columns(clipped.alias(slot(target[name])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place = source[self.outputs[0]], target[self.outputs[0]]
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                slots[place] = low if value < low else high if value > high else float(value)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = float_code(write, source[self.outputs[0]])
        template, gaps = "{0}", {}
        if self.high is not None:
            gaps["high"] = write.bind(self.high)
            template = "({high} if {0} > {high} else {0})"
        if self.low is not None:
            gaps["low"] = write.bind(self.low)
            template = f"({{low}} if {{0}} < {{low}} else {template})"
        write.put(
            target[self.outputs[0]],
            strict(write, FLOAT, template, value, nan=value.nan, gaps=gaps),
        )
        return True


def _checked(
    low: Any, high: Any, quantiles: Any
) -> tuple[float | None, float | None, tuple[float, float] | None]:
    if (low is None and high is None) == (quantiles is None):
        raise RecipeError(
            "clip needs bounds or quantiles, and not both",
            repr((low, high, quantiles))[:100],
            "Give low, high or both; or quantiles=(0.01, 0.99).",
            "quantiles",
        )
    if quantiles is not None:
        if not isinstance(quantiles, list | tuple) or len(quantiles) != 2:
            raise RecipeError("clip needs two shares", repr(quantiles)[:100], None, "quantiles")
        first, last = (check_finite(share, Clip.kind, "quantiles") for share in quantiles)
        if not 0 <= first < last <= 1:
            raise RecipeError(
                "clip needs two rising shares from 0 to 1", repr(quantiles), None, "quantiles"
            )
        return None, None, (first, last)
    least = None if low is None else check_finite(low, Clip.kind, "low")
    most = None if high is None else check_finite(high, Clip.kind, "high")
    if least is not None and most is not None and least > most:
        raise RecipeError("clip: low is above high", repr((low, high)), None, "low")
    return least, most, None


def clip(
    *columns: str,
    low: float | None = None,
    high: float | None = None,
    quantiles: Sequence[float] | None = None,
) -> tuple[Clip, ...]:
    """Numeric columns as features, held between two bounds.

    Args:
        *columns: numbers or booleans.
        low: the lower bound, none by default.
        high: the upper bound, none by default.
        quantiles: in place of bounds, two shares between 0 and 1: the bounds are these quantiles
            of the finite values of the fit.

    Raises:
        RecipeError: there are neither bounds nor quantiles, or both; or they do not rise.
    """
    bounds = _checked(low, high, quantiles)
    return tuple(Clip(check_text(column, "clip", "column"), *bounds) for column in columns)
