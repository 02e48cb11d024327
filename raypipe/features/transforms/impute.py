"""impute: a number in the place of missing ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, TEXT, Value, is_null, settled
from raypipe.features.quantiles import QuantileSketch
from raypipe.features.sums import ExactSum
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
from raypipe.features.transforms.numbers import as_floats, finite, nothing
from raypipe.features.transforms.shared import RowsView

if TYPE_CHECKING:
    from collections.abc import Mapping

Strategy = Literal["mean", "median", "mode", "constant"]
_STRATEGIES = ("mean", "median", "mode", "constant")
_MAX_TEXT = 10_000
_OTHERWISE = 'Use strategy="constant" with a value, or leave the column out.'


@dataclass(frozen=True, slots=True)
class Impute(Transform):
    """A column in which what is missing is replaced by one value.

    Of a number or a boolean, null and NaN are replaced, and the column is given as floats. Mean,
    median and mode are of the finite values of the fit; infinities are left out of them and stay
    as they are. The median is exact up to 16,384 distinct values, and beyond has the rank error of
    a quantile sketch. Of a string, null is replaced, by its mode or a constant; an empty string is
    a value like others. The mode is the most frequent value, of those as frequent the smallest; to
    find it the fit keeps a count for each distinct value.

    With ``indicator``, ``<column>_missing`` is 1 where a value was replaced, else 0. Later
    transforms that read the column read it imputed.
    """

    column: str
    strategy: Strategy
    value: float | str | None
    indicator: bool
    kind: ClassVar[str] = "impute"
    mends_null: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The column as floats or as text, and the indicator."""
        dtype = schema[self.column]
        text = dtype == pl.String
        fine = dtype.is_numeric() or dtype == pl.Boolean or text
        check_type(self.kind, self.column, dtype, fine, "a number, a boolean or a string")
        if self.strategy == "constant":
            want = "a number or a boolean" if isinstance(self.value, float) else "a string"
            told = f"impute with the constant {repr(self.value)[:50]}"
            check_type(told, self.column, dtype, isinstance(self.value, str) == text, want)
        elif self.strategy != "mode":
            check_type(f"impute ({self.strategy})", self.column, dtype, not text, "a number")
        made: dict[str, pl.DataType] = {self.column: dtype if text else pl.Float64()}
        return {**made, f"{self.column}_missing": pl.Float64()} if self.indicator else made

    def state(self, schema: Schema) -> State | None:
        """An exact sum, the values, counts of the values, or nothing for a constant."""
        if self.strategy == "constant":
            return None
        if self.strategy == "mode":
            return _Mode(self.column)
        return _Mean(self.column) if self.strategy == "mean" else _Median(self.column)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the value that stands for missing ones."""
        outputs = tuple(self.outputs(schema))
        if self.strategy == "constant":
            if state is not None or self.value is None:
                raise tampered(self.kind, "a constant has a state or no value", self.column)
            state = [self.value] if isinstance(self.value, str) else self.value
        if schema[self.column] == pl.String:
            (found,) = state if isinstance(state, list) and len(state) == 1 else (None,)
            if not isinstance(found, str) or len(found) > _MAX_TEXT:
                raise tampered(self.kind, "its value is not a text, or too long", self.column)
            return _ImputedText(outputs, found)
        if not is_number(state) or not math.isfinite(state):
            raise tampered(self.kind, "its value is not a finite number", self.column)
        return _Imputed(outputs, float(state))

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


@dataclass(slots=True)
class _Mean:
    column: str
    # Exact, so that the mean is the same whatever the order of the parts.
    total: ExactSum = field(default_factory=ExactSum)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        self.total.update(view.finite(self.column))

    def merge(self, other: _Mean) -> None:
        self.total.merge(other.total)

    def finish(self) -> Json:
        if not self.total.count:
            raise nothing(Impute.kind, self.column, _OTHERWISE)
        return self.total.mean()


@dataclass(slots=True)
class _Median:
    column: str
    sketch: QuantileSketch = field(default_factory=QuantileSketch)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        self.sketch.merge(view.sketch(self.column))

    def merge(self, other: _Median) -> None:
        self.sketch.merge(other.sketch)

    def finish(self) -> Json:
        count = self.sketch.count
        if not count:
            raise nothing(Impute.kind, self.column, _OTHERWISE)
        low, high = self.sketch.at([(count - 1) // 2, count // 2]).tolist()
        # Halves first: the sum of two large values would overflow.
        return low if low == high else low / 2 + high / 2


@dataclass(slots=True)
class _Mode:
    column: str
    counts: dict[Any, int] = field(default_factory=dict)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        column = frame[self.column].drop_nulls()
        values = column if column.dtype == pl.String else pl.Series(finite(frame, self.column))
        told = values.alias("value").value_counts(name="rows")
        for value, rows in zip(told["value"].to_list(), told["rows"].to_list(), strict=True):
            self.counts[value] = self.counts.get(value, 0) + rows

    def merge(self, other: _Mode) -> None:
        for value, rows in other.counts.items():
            self.counts[value] = self.counts.get(value, 0) + rows

    def finish(self) -> Json:
        if not self.counts:
            raise nothing(Impute.kind, self.column, _OTHERWISE)
        most = max(self.counts.values())
        mode = min(value for value, rows in self.counts.items() if rows == most)
        return [mode] if isinstance(mode, str) else mode


@dataclass(frozen=True, slots=True)
class _Imputed(Fitted):
    value: float

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = as_floats(source[self.outputs[0]])
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


@dataclass(frozen=True, slots=True)
class _ImputedText(Fitted):
    value: str

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = pl.col(slot(source[self.outputs[0]]))
        made = [column.fill_null(pl.lit(self.value)).alias(slot(target[self.outputs[0]]))]
        if len(self.outputs) > 1:
            missing = column.is_null().cast(pl.Float64)
            made.append(missing.alias(slot(target[self.outputs[1]])))
        return frame.with_columns(made)

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, value = source[self.outputs[0]], self.value
        place, *flags = (target[name] for name in self.outputs)

        def step(slots: list[Any]) -> None:
            found = slots[have]
            slots[place] = value if found is None else found
            for flag in flags:
                slots[flag] = 1.0 if found is None else 0.0

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        found = settled(write, write.values[source[self.outputs[0]]])
        place, *flags = (target[name] for name in self.outputs)
        if not found.nulls:
            write.values[place] = found
            for flag in flags:
                write.number(flag, "0.0")
            return True
        gone = is_null(write, found.nulls)
        filled = write.settled("{} if {} else {}", write.bind(self.value), gone, found.body)
        write.values[place] = Value(filled, TEXT)
        for flag in flags:
            write.number(flag, "1.0 if {} else 0.0", gone)
        return True


def _checked(strategy: Any, value: Any) -> float | str | None:
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
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        return value
    if not is_number(value) or not math.isfinite(value):
        raise RecipeError(
            "impute needs a finite number or a text", repr(value)[:100], None, "value"
        )
    return float(value)


def impute(
    *columns: str,
    strategy: Strategy = "median",
    value: float | str | None = None,
    indicator: bool = False,
) -> tuple[Impute, ...]:
    """Columns as features, what is missing replaced by one value: null, and NaN of a number.

    Args:
        *columns: numbers or booleans, given as floats; or strings, for later transforms.
        strategy: "mean" or "median" of the finite values of the fit, "mode" (the most frequent
            value, of those the smallest; also of strings), or "constant".
        value: the constant: a number, or a text for strings.
        indicator: also give ``<column>_missing``, 1 where a value was replaced.

    Raises:
        RecipeError: the strategy is unknown, or value and strategy do not go together.
    """
    constant = _checked(strategy, value)
    return tuple(
        Impute(check_text(column, "impute", "column"), strategy, constant, bool(indicator))
        for column in columns
    )
