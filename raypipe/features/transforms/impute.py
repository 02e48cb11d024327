"""impute: a number in the place of missing ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, Value, is_null, settled
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    State,
    Transform,
    check_keys,
    check_text,
    check_type,
    is_number,
    slot,
    tampered,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Strategy = Literal["mean", "median", "constant"]
_STRATEGIES = ("mean", "median", "constant")


@dataclass(frozen=True, slots=True)
class Impute(Transform):
    """A numeric column in which null and NaN are replaced by one number.

    Mean and median are of the finite values of the fit; infinities are left out of them and stay
    as they are. With ``indicator``, ``<column>_missing`` is 1 where a value was replaced, else 0.
    Later transforms that read the column read it imputed.
    """

    column: str
    strategy: Strategy
    value: float | None
    indicator: bool
    kind: ClassVar[str] = "impute"
    mends_null: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The column as floats, and the indicator."""
        dtype = schema[self.column]
        fine = dtype.is_numeric() or dtype == pl.Boolean
        check_type(self.kind, self.column, dtype, fine, "a number or a boolean")
        names = [self.column, f"{self.column}_missing"] if self.indicator else [self.column]
        return dict.fromkeys(names, pl.Float64())

    def state(self, schema: Schema) -> State | None:
        """Sums for a mean, values with counts for a median, nothing for a constant."""
        if self.strategy == "constant":
            return None
        return _Mean(self.column) if self.strategy == "mean" else _Median(self.column)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the number that stands for missing ones."""
        if self.strategy == "constant":
            if state is not None or self.value is None:
                raise tampered(self.kind, "a constant has a state or no value", self.column)
            return _Imputed(tuple(self.outputs(schema)), float(self.value))
        if not is_number(state) or not math.isfinite(state):
            raise tampered(self.kind, "its value is not a finite number", self.column)
        return _Imputed(tuple(self.outputs(schema)), float(state))

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {
            "column": self.column,
            "strategy": self.strategy,
            "value": self.value,
            "indicator": self.indicator,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "strategy", "value", "indicator"}, cls.kind)
        if not isinstance(data["indicator"], bool):
            raise tampered(cls.kind, "indicator is not a boolean", "indicator")
        value = _checked(data["strategy"], data["value"])
        column = check_text(data["column"], cls.kind, "column")
        return cls(column, data["strategy"], value, data["indicator"])


def _floats(frame: pl.DataFrame, column: str) -> npt.NDArray[np.float64]:
    values = frame[column].drop_nulls().cast(pl.Float64).to_numpy()
    return np.asarray(values[np.isfinite(values)], np.float64)


def _nothing(column: str) -> RecipeError:
    return RecipeError(
        f"impute has no value of {column!r} to learn from",
        "nulls alone",
        'Use strategy="constant" with a value, or leave the column out.',
        column,
    )


@dataclass(slots=True)
class _Mean:
    column: str
    count: int = 0
    # One exactly rounded sum for each part: adding them up exactly, too, makes the mean the same
    # whatever the order of the parts.
    sums: list[float] = field(default_factory=list)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        values = _floats(frame, self.column)
        self.count += len(values)
        self.sums.append(math.fsum(values.tolist()))

    def merge(self, other: _Mean) -> None:
        self.count += other.count
        self.sums += other.sums

    def finish(self) -> Json:
        if not self.count:
            raise _nothing(self.column)
        return math.fsum(self.sums) / self.count


@dataclass(slots=True)
class _Median:
    column: str
    chunks: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        self.chunks.append(_floats(frame, self.column))

    def merge(self, other: _Median) -> None:
        self.chunks += other.chunks

    def finish(self) -> Json:
        values = np.concatenate([*self.chunks, np.empty(0)])
        if not len(values):
            raise _nothing(self.column)
        low, high = (len(values) - 1) // 2, len(values) // 2
        values.partition([low, high])
        # Halves first: the sum of two large values would overflow.
        return float(values[low]) if low == high else float(values[low] / 2 + values[high] / 2)


@dataclass(frozen=True, slots=True)
class _Imputed(Fitted):
    value: float

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = pl.col(slot(source[self.outputs[0]])).cast(pl.Float64)
        there = column.is_not_nan().fill_null(False)
        made = [
            pl.when(there).then(column).otherwise(self.value).alias(slot(target[self.outputs[0]]))
        ]
        if len(self.outputs) > 1:
            made.append((~there).cast(pl.Float64).alias(slot(target[self.outputs[1]])))
        return frame.with_columns(made)

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place, value = source[self.outputs[0]], target[self.outputs[0]], self.value
        if len(self.outputs) == 1:

            def step(slots: list[Any]) -> None:
                found = slots[have]
                slots[place] = value if found is None or found != found else float(found)

            return step
        flag = target[self.outputs[1]]

        def flagged(slots: list[Any]) -> None:
            found = slots[have]
            missing = found is None or found != found
            slots[place] = value if missing else float(found)
            slots[flag] = 1.0 if missing else 0.0

        return flagged

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        found = settled(write, write.values[source[self.outputs[0]]])
        tests = [is_null(write, found.nulls)] if found.nulls else []
        if found.nan or found.dtype.is_float():
            tests.append(write.piece("{0} != {0}", found.body))
        wide = found.body if found.dtype == pl.Float64 else write.piece("{} * 1.0", found.body)
        flag = target[self.outputs[1]] if len(self.outputs) > 1 else None
        if not tests:
            write.number(target[self.outputs[0]], "{}", wide)
            if flag is not None:
                write.number(flag, "0.0")
            return True
        missing = write.piece(" or ".join("{}" for _ in tests), *tests)
        if flag is not None:
            missing = write.settled("{}", missing)
            write.values[flag] = Value(write.piece("(1.0 if {} else 0.0)", missing), FLOAT)
        parts = (write.bind(self.value), missing, wide)
        write.number(target[self.outputs[0]], "{} if {} else {}", *parts)
        return True


def _checked(strategy: Any, value: Any) -> float | None:
    if strategy not in _STRATEGIES:
        raise RecipeError(
            "impute does not know this strategy",
            repr(strategy)[:100],
            f"Use: {', '.join(_STRATEGIES)}.",
            "strategy",
        )
    if (strategy == "constant") != (value is not None):
        raise RecipeError(
            'impute takes a value with strategy="constant", and only then',
            repr(value)[:100],
            None,
            "value",
        )
    if value is not None and not (is_number(value) and math.isfinite(value)):
        raise RecipeError("impute needs a finite number", repr(value)[:100], None, "value")
    return None if value is None else float(value)


def impute(
    *columns: str,
    strategy: Strategy = "median",
    value: float | None = None,
    indicator: bool = False,
) -> tuple[Impute, ...]:
    """Numeric columns as features, null and NaN replaced by one number.

    Args:
        *columns: numbers or booleans.
        strategy: "mean" or "median" of the finite values of the fit, or "constant".
        value: the constant.
        indicator: also give ``<column>_missing``, 1 where a value was replaced.

    Raises:
        RecipeError: the strategy is unknown, or value and strategy do not go together.
    """
    constant = _checked(strategy, value)
    return tuple(
        Impute(check_text(column, "impute", "column"), strategy, constant, bool(indicator))
        for column in columns
    )
