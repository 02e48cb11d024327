"""log1p, signed_log, power: a fixed function of a number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions import scalar
from raypipe.expressions.row_base import FLOAT, applied
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    check_keys,
    check_text,
    slot,
    tampered,
)
from raypipe.features.transforms.numbers import OfNumber, as_floats, check_finite, float_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_WHOLE = 8


@dataclass(frozen=True, slots=True)
class Curve(OfNumber):
    """A numeric column as floats through a function; null stays null, NaN stays NaN.

    - log1p: ``log(1 + x)``; minus infinity at -1, NaN below.
    - signed_log: ``log(1 + |x|)`` with the sign of x; 0 at both zeros.
    - power: ``x ** exponent``. Whole exponents by multiplication (of a negative one, 1 by the
      product), 0.5 by the square root, others as ``exp(exponent * log(x))``, whose relative error
      grows with ``|exponent * log(x)|`` (2e-16 times that). NaN where x is below 0 and the
      exponent is not whole, and where x is 0 and the exponent is below 0: missing, not infinite.

    These forms give the same bits in polars and in plain Python; ``**`` does not.
    """

    function: str
    exponent: float | None
    kind: ClassVar[str] = "curve"

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Curved((self.column,), self.function, self.exponent)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "function": self.function, "exponent": self.exponent}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "function", "exponent"}, cls.kind)
        function, exponent = data["function"], data["exponent"]
        if not isinstance(function, str) or function not in ("log1p", "signed_log", "power"):
            raise tampered(cls.kind, "its function is unknown", "function")
        if function == "power":
            exponent = _checked(exponent)
        elif exponent is not None:
            raise tampered(cls.kind, "only a power has an exponent", "exponent")
        return cls(check_text(data["column"], cls.kind, "column"), function, exponent)


@dataclass(frozen=True, slots=True)
class _Curved(Fitted):
    function: str
    exponent: float | None

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        name = self.outputs[0]
        value = as_floats(source[name])
        if self.function == "log1p":
            made = value.log1p()
        elif self.function == "signed_log":
            made = _signed_log_of(value)
        else:
            assert self.exponent is not None
            made = _power_of(value, self.exponent)
        return frame.with_columns(made.alias(slot(target[name])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place = source[self.outputs[0]], target[self.outputs[0]]
        done = self._done()

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                slots[place] = done(float(value))

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = float_code(write, source[self.outputs[0]])
        write.put(target[self.outputs[0]], applied(write, FLOAT, self._done(), value))
        return True

    def _done(self) -> Callable[[float], float]:
        if self.function == "log1p":
            return scalar.log1p
        if self.function == "signed_log":
            return _signed_log
        assert self.exponent is not None
        return _power(self.exponent)


def _signed_log_of(value: pl.Expr) -> pl.Expr:
    size = value.abs().log1p()
    return pl.when(value < 0).then(-size).otherwise(size)


def _signed_log(value: float) -> float:
    return -math.log1p(-value) if value < 0 else math.log1p(abs(value))


def _power_of(value: pl.Expr, exponent: float) -> pl.Expr:
    size = abs(exponent)
    if size == 0.5:
        made = value.sqrt()
    elif size.is_integer():
        made = value
        for _ in range(int(size) - 1):
            made = made * value
    else:
        return pl.when(value == 0).then(_zero(exponent)).otherwise((value.log() * exponent).exp())
    return made if exponent > 0 else pl.when(value == 0).then(math.nan).otherwise(1.0 / made)


def _zero(exponent: float) -> float:
    return 0.0 if exponent > 0 else math.nan


def _power(exponent: float) -> Callable[[float], float]:
    size = abs(exponent)
    if size != 0.5 and not size.is_integer():
        at_zero = _zero(exponent)
        return lambda value: scalar.exp(scalar.log(value) * exponent) if value else at_zero
    root = scalar.sqrt if size == 0.5 else partial(_product, times=int(size) - 1)
    if exponent > 0:
        return root
    return lambda value: scalar.inverse(root(value)) if value else math.nan


def _product(value: float, times: int) -> float:
    made = value
    for _ in range(times):
        made *= value
    return made


def _checked(exponent: Any) -> float:
    number = check_finite(exponent, "power", "exponent")
    if number in (0, 1) or (number.is_integer() and abs(number) > MAX_WHOLE):
        raise RecipeError(
            "power cannot take this exponent",
            repr(exponent),
            f"Give a fraction, or a whole number from -{MAX_WHOLE} to {MAX_WHOLE} but 0 and 1.",
            "exponent",
        )
    return number


def log1p(*columns: str) -> tuple[Curve, ...]:
    """Numeric columns as ``log(1 + x)``: for counts and amounts; NaN below -1.

    Raises:
        RecipeError: a name is not a text.
    """
    return tuple(Curve(check_text(name, "log1p", "column"), "log1p", None) for name in columns)


def signed_log(*columns: str) -> tuple[Curve, ...]:
    """Numeric columns as ``log(1 + |x|)`` with the sign of x: for amounts of both signs.

    Raises:
        RecipeError: a name is not a text.
    """
    return tuple(
        Curve(check_text(name, "signed_log", "column"), "signed_log", None) for name in columns
    )


def power(*columns: str, exponent: float) -> tuple[Curve, ...]:
    """Numeric columns raised to a power; NaN where that is no number, also at 1 by 0.

    Args:
        *columns: numbers or booleans.
        exponent: a fraction, or a whole number from -8 to 8 but 0 and 1.

    Raises:
        RecipeError: the exponent is another, or a name is not a text.
    """
    number = _checked(exponent)
    return tuple(Curve(check_text(name, "power", "column"), "power", number) for name in columns)
