"""target_encode: the mean label of a category, smoothed toward the mean of all rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl

from raypipe.core.errors import RecipeError
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
    is_number,
    slot,
    tampered,
)
from raypipe.features.transforms.categories import Key, check_category, check_sorted, coded

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TargetEncode(Transform):
    """``<column>_target``: ``(sum + m * prior) / (n + m)`` of the label over a category's rows.

    ``prior`` is the mean label of all rows of the fit that have one, ``m`` the smoothing. A null
    and a category that the fit did not see give the prior. An empty string is a category.

    It is fitted on the training rows themselves, without cross-fitting: for a category of few rows
    the feature has seen each row's own label, and smoothing is what holds that down.
    """

    column: str
    smoothing: float
    kind: ClassVar[str] = "target_encode"
    needs_label: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The encoded column."""
        check_category(self.kind, self.column, schema[self.column])
        return {f"{self.column}_target": pl.Float64()}

    def state(self, schema: Schema) -> State:
        """Rows and label sum for each category, and of all rows."""
        return _Sums(self.column, self.smoothing)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the value of each category, and the prior."""
        check_keys(state, {"prior", "keys", "values"}, self.kind)
        keys = check_sorted(state["keys"], schema[self.column], self.kind, self.column)
        values, prior = state["values"], state["prior"]
        if not isinstance(values, list) or len(values) != len(keys):
            raise tampered(self.kind, "not a value for each category", self.column)
        if not all(is_number(value) and math.isfinite(value) for value in [*values, prior]):
            raise tampered(self.kind, "a value is not a finite number", self.column)
        return _Encoded(
            tuple(self.outputs(schema)),
            self.column,
            tuple(keys),
            tuple(map(float, values)),
            float(prior),
            schema[self.column],
        )

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "smoothing": self.smoothing}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "smoothing"}, cls.kind)
        column = check_text(data["column"], cls.kind, "column")
        return cls(column, _checked(data["smoothing"]))


@dataclass(slots=True)
class _Sums:
    column: str
    smoothing: float
    rows: int = 0
    total: float = 0.0
    sums: dict[Key, tuple[int, float]] = field(default_factory=dict)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        assert target is not None
        labelled = pl.DataFrame([frame[self.column].alias("key"), target.alias("label")])
        labelled = labelled.drop_nulls("label")
        self.rows += labelled.height
        self.total += math.fsum(labelled["label"].to_list())
        labelled = labelled.drop_nulls("key")
        keys, codes = coded(labelled["key"])
        # bincount adds in row order on one thread; a polars group_by may add in any order.
        counts = np.bincount(codes, minlength=len(keys))
        sums = np.bincount(codes, labelled["label"].to_numpy(), minlength=len(keys))
        for key, count, total in zip(keys, counts, sums, strict=True):
            self._add(key, int(count), float(total))

    def _add(self, key: Key, count: int, total: float) -> None:
        n, s = self.sums.get(key, (0, 0.0))
        self.sums[key] = (n + count, s + total)

    def merge(self, other: _Sums) -> None:
        self.rows += other.rows
        self.total += other.total
        for key, (count, total) in other.sums.items():
            self._add(key, count, total)

    def finish(self) -> Json:
        prior = self.total / self.rows
        keys: list[Any] = sorted(self.sums)
        values = []
        for key in keys:
            count, total = self.sums[key]
            values.append((total + self.smoothing * prior) / (count + self.smoothing))
        return {"prior": prior, "keys": keys, "values": values}


@dataclass(frozen=True, slots=True)
class _Encoded(Fitted):
    column: str
    keys: tuple[Key, ...]
    values: tuple[float, ...]
    prior: float
    dtype: pl.DataType

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        name = slot(target[self.outputs[0]])
        if not self.keys:
            return frame.with_columns(pl.lit(self.prior, dtype=pl.Float64).alias(name))
        encoded = pl.col(slot(source[self.column])).replace_strict(
            pl.Series(self.keys, dtype=self.dtype),
            pl.Series(self.values, dtype=pl.Float64),
            default=self.prior,
            return_dtype=pl.Float64,
        )
        return frame.with_columns(encoded.alias(name))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place, prior = source[self.column], target[self.outputs[0]], self.prior
        value_of = dict(zip(self.keys, self.values, strict=True))

        def step(slots: list[Any]) -> None:
            slots[place] = value_of.get(slots[have], prior)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value_of = dict(zip(self.keys, self.values, strict=True))
        parts = (write.bind(value_of.get), write.read(source[self.column]), write.bind(self.prior))
        write.number(target[self.outputs[0]], "{}({}, {})", *parts)
        return True


def _checked(smoothing: Any) -> float:
    if not is_number(smoothing) or not (math.isfinite(smoothing) and smoothing > 0):
        raise RecipeError(
            "smoothing is not a finite number above 0", repr(smoothing)[:100], None, "smoothing"
        )
    return float(smoothing)


def target_encode(*columns: str, smoothing: float = 20.0) -> tuple[TargetEncode, ...]:
    """The smoothed mean label of each category as the feature ``<column>_target``.

    Nulls and categories that the fit did not see give the mean label of all rows. Fitted on the
    training rows themselves; rows without a label are left out.

    Args:
        *columns: strings, integers or booleans.
        smoothing: how many rows the mean of all rows weighs.

    Raises:
        RecipeError: ``smoothing`` is not a finite number above 0.
    """
    weight = _checked(smoothing)
    return tuple(
        TargetEncode(check_text(column, "target_encode", "column"), weight) for column in columns
    )
