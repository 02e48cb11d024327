"""What the transforms of numeric columns share: checks, the values of a fit, the column as floats.

Integers and booleans are floats first: false 0, true 1, and an integer beyond 2**53 the nearest
float, on both sides.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, Value, settled, strict
from raypipe.features.transforms.base import (
    RowWriter,
    Schema,
    Transform,
    check_type,
    is_number,
    slot,
    tampered,
)
from raypipe.features.transforms.shared import RowsView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.features.transforms.base import Json

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OfNumber(Transform):
    """A transform that gives one numeric column anew, under its own name, as floats."""

    column: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The column as floats."""
        check_numeric(self.kind, self.column, schema[self.column])
        return {self.column: pl.Float64()}


def check_numeric(kind: str, column: str, dtype: pl.DataType) -> None:
    """Refuses a column that is neither a number nor a boolean.

    Raises:
        RecipeError: it is of another type.
    """
    fine = dtype.is_numeric() or dtype == pl.Boolean
    check_type(kind, column, dtype, fine, "a number or a boolean")


def as_floats(place: int) -> pl.Expr:
    """A slot's numbers or booleans as floats."""
    return pl.col(slot(place)).cast(pl.Float64)


def float_code(write: RowWriter, place: int) -> Value:
    """The same of one row as code, under a name of its own."""
    found = settled(write, write.values[place])
    if found.dtype == FLOAT:
        return found
    # What float() gives, and faster.
    wide = strict(write, FLOAT, "({} * 1.0)", found, nan=found.dtype.is_float())
    return settled(write, wide)


def finite(frame: pl.DataFrame, column: str) -> Floats:
    """The values of a fit without null, NaN and infinities, with one zero."""
    values = frame[column].drop_nulls().cast(pl.Float64).to_numpy()
    return np.asarray(values[np.isfinite(values)], np.float64) + 0.0


def nothing(kind: str, column: str, act: str) -> RecipeError:
    """The error for a column in which the fit met no finite value."""
    return RecipeError(
        f"{kind} has no value of {column!r} to learn from", "no finite number", act, column
    )


@dataclass(slots=True)
class Range(ABC):
    """The least and the greatest finite value; what is made of them is for subclasses to say."""

    column: str
    low: float = math.inf
    high: float = -math.inf

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        """Takes a part."""
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        """Takes a part."""
        values = view.finite(self.column)
        self.low = min(self.low, float(values.min(initial=math.inf)) + 0.0)  # one zero
        self.high = max(self.high, float(values.max(initial=-math.inf)) + 0.0)

    def merge(self, other: Range) -> None:
        """Takes the range of another part."""
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)

    @property
    def empty(self) -> bool:
        """Whether there was no finite value."""
        return self.low > self.high

    @abstractmethod
    def finish(self) -> Json:
        """The fitted state."""


def inverse(spread: Fraction | float) -> float:
    """``1 / spread``; 1 where that is no finite number, as of a constant column."""
    if not spread:
        return 1.0
    try:
        return float(1 / Fraction(spread))
    except OverflowError:
        return 1.0


def check_finite(value: Any, kind: str, field: str) -> float:
    """A finite number from stored JSON or from a caller, as a float.

    Raises:
        RecipeError: it is not one.
    """
    if not is_number(value) or not math.isfinite(value):
        raise RecipeError(f"{kind}: {field} is not a finite number", repr(value)[:100], None, field)
    return float(value) + 0.0


def state_numbers(state: Json, kind: str, column: str, count: int) -> list[float]:
    """A list of finite floats from a stored state.

    Raises:
        RecipeError: it is not a list of ``count`` such.
    """
    if not isinstance(state, list) or len(state) != count:
        raise tampered(kind, f"its state is not {count} numbers", column)
    if not all(is_number(value) and math.isfinite(value) for value in state):
        raise tampered(kind, "its state holds what is not a finite number", column)
    return [float(value) for value in state]


def check_columns(columns: Sequence[Any], kind: str, least: int) -> tuple[str, ...]:
    """Names of columns, each once.

    Raises:
        RecipeError: there are too few, one stands twice, or one is not a text.
    """
    if not isinstance(columns, list | tuple) or not all(
        isinstance(name, str) and 0 < len(name) <= 1_000 for name in columns
    ):
        raise RecipeError(f"{kind} needs names of columns", repr(columns)[:100], None, "columns")
    if len(columns) < least or len(set(columns)) != len(columns):
        raise RecipeError(
            f"{kind} needs at least {least} columns, each once",
            repr(list(columns))[:100],
            None,
            "columns",
        )
    return tuple(columns)
