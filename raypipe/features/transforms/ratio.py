"""ratio: one number by another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.expressions.row_base import FLOAT, strict
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
class Ratio(Transform):
    """``over / under`` as a float.

    By zero, of either sign, it is ``zero``: missing (NaN) by default, never infinite. Null in
    either gives null, before that rule. NaN in either gives NaN, but by zero. Infinity by a finite
    number is infinite, by infinity NaN; what overflows is infinite.
    """

    over: str
    under: str
    zero: float | None
    name: str
    kind: ClassVar[str] = "ratio"

    @property
    def reads(self) -> tuple[str, ...]:
        """Both columns."""
        return tuple(dict.fromkeys((self.over, self.under)))

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The ratio."""
        for column in self.reads:
            check_numeric(self.kind, column, schema[column])
        return {self.name: pl.Float64()}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.name)
        zero = math.nan if self.zero is None else self.zero
        return _Divided((self.name,), self.over, self.under, zero)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"over": self.over, "under": self.under, "zero": self.zero, "name": self.name}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"over", "under", "zero", "name"}, cls.kind)
        return cls(*_checked(data["over"], data["under"], data["zero"], data["name"]))


@dataclass(frozen=True, slots=True)
class _Divided(Fitted):
    over: str
    under: str
    zero: float

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        over, under = as_floats(source[self.over]), as_floats(source[self.under])
        by_zero = over.is_not_null() & (under == 0)
        made = pl.when(by_zero).then(self.zero).otherwise(over / under)
        return frame.with_columns(made.alias(slot(target[self.outputs[0]])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        first, second, place = source[self.over], source[self.under], target[self.outputs[0]]
        zero = self.zero

        def step(slots: list[Any]) -> None:
            over, under = slots[first], slots[second]
            if over is not None and under is not None:
                # Floats first: Python divides integers more exactly than floats can.
                slots[place] = float(over) / float(under) if under else zero

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        over, under = (float_code(write, source[name]) for name in (self.over, self.under))
        gaps = {"zero": write.bind(self.zero)}
        made = strict(write, FLOAT, "({0} / {1} if {1} else {zero})", over, under, gaps=gaps)
        write.put(target[self.outputs[0]], made)
        return True


def _checked(over: Any, under: Any, zero: Any, name: Any) -> tuple[str, str, float | None, str]:
    return (
        check_text(over, "ratio", "over"),
        check_text(under, "ratio", "under"),
        None if zero is None else check_finite(zero, "ratio", "zero"),
        check_text(name, "ratio", "name", 3_000),
    )


def ratio(over: str, under: str, *, zero: float | None = None, name: str | None = None) -> Ratio:
    """One number by another as a feature.

    Args:
        over: a number or a boolean.
        under: a number or a boolean.
        zero: what it is where ``under`` is 0; missing (NaN) by default.
        name: of the feature; ``<over>/<under>`` by default.

    Raises:
        RecipeError: zero is not a finite number, or a name is not a text.
    """
    return Ratio(*_checked(over, under, zero, f"{over}/{under}" if name is None else name))
