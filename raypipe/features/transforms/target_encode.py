"""target_encode: the mean label of a category, smoothed toward the mean of all rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    PlacedFitted,
    Schema,
    State,
    Transform,
    check_keys,
    check_text,
    is_number,
    tampered,
)
from raypipe.features.transforms.categories import Mapped, check_category, check_sorted
from raypipe.features.transforms.folds import FoldSums, OutOfFold, check_folds, read_folds

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TargetEncode(Transform):
    """``<column>_target``: ``(sum + m * prior) / (n + m)`` of the label over a category's rows.

    ``prior`` is the mean label of all rows of the fit that have one, ``m`` the smoothing. A null
    and a category that the fit did not see give the prior. An empty string is a category. A column
    of floats, which could hold NaN, is refused.

    That is what serving gives. For the rows of the fit themselves it would leak: each row's own
    label is in the sum of its category. So with ``folds`` above 0 the fit also keeps the sums of
    each fold, and ``FittedRecipe.training_features`` takes ``sum``, ``n`` and ``prior`` over the
    rows of all other folds (Micci-Barreca, 2001, with the cross-fitting of scikit-learn's
    TargetEncoder). A row's fold is ``row_hash(part, position) % folds``, a function of its place
    alone. Sums are exact, so parts may be merged in any order.
    """

    column: str
    smoothing: float
    folds: int = 0  # none in recipes that were stored before there were folds
    kind: ClassVar[str] = "target_encode"
    needs_label: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def cross_fitted(self) -> bool:
        """Whether rows of the fit have another encoding than rows to serve."""
        return self.folds > 0

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The encoded column."""
        check_category(self.kind, self.column, schema[self.column])
        return {f"{self.column}_target": pl.Float64()}

    def state(self, schema: Schema) -> State:
        """Rows and label sum for each category and fold, and of all rows."""
        return FoldSums(self.column, self.smoothing, self.folds)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the value of each category, and the prior."""
        check_keys(state, {"prior", "keys", "values"}, self.kind)
        dtype = schema[self.column]
        keys = check_sorted(state["keys"], dtype, self.kind, self.column)
        values, prior = state["values"], state["prior"]
        if not isinstance(values, list) or len(values) != len(keys):
            raise tampered(self.kind, "not a value for each category", self.column)
        if not all(is_number(value) and math.isfinite(value) for value in [*values, prior]):
            raise tampered(self.kind, "a value is not a finite number", self.column)
        names, encoded = (
            tuple(self.outputs(schema)),
            pl.Series(map(float, values), dtype=pl.Float64),
        )
        prior = float(prior)
        return Mapped(names, self.column, pl.Series(keys, dtype=dtype), encoded, prior, prior)

    def for_training(self, state: Json, training: Json, schema: Schema) -> PlacedFitted | None:
        """With the value of each category as the other folds give it; None without folds."""
        if not self.folds:
            return None
        keys = check_sorted(state["keys"], schema[self.column], self.kind, self.column)
        table = read_folds(training, self.folds, len(keys), self.column)
        return OutOfFold(
            tuple(self.outputs(schema)),
            self.column,
            pl.Series(keys, dtype=schema[self.column]),
            table,
            self.smoothing,
        )

    def to_json(self) -> dict[str, Json]:
        """The settings; folds only where there are any, as they came later."""
        folds = {"folds": self.folds} if self.folds else {}
        return {"column": self.column, "smoothing": self.smoothing, **folds}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "smoothing", *({"folds"} & set(data))}, cls.kind)
        column = check_text(data["column"], cls.kind, "column")
        folds = check_folds(data["folds"]) if "folds" in data else 0
        return cls(column, _checked(data["smoothing"]), folds)


def _checked(smoothing: Any) -> float:
    if not is_number(smoothing) or not (math.isfinite(smoothing) and smoothing > 0):
        raise RecipeError(
            "smoothing is not a finite number above 0", repr(smoothing)[:100], None, "smoothing"
        )
    return float(smoothing)


def target_encode(
    *columns: str, smoothing: float = 20.0, folds: int = 5
) -> tuple[TargetEncode, ...]:
    """The smoothed mean label of each category as the feature ``<column>_target``.

    Nulls and categories that the fit did not see give the mean label of all rows. Rows without a
    label are left out. In training, a row of the fit gets what the other folds say of its
    category, so that its own label is not in its features.

    Args:
        *columns: strings, integers or booleans.
        smoothing: how many rows the mean of all rows weighs.
        folds: into how many folds the rows of the fit are put, 2 to 100; 0 for no cross-fitting,
            with which a category of few rows tells a model the label of each.

    Raises:
        RecipeError: ``smoothing`` is not a finite number above 0, or ``folds`` is out of bounds.
    """
    weight = _checked(smoothing)
    count = check_folds(folds) if folds != 0 else 0
    return tuple(
        TargetEncode(check_text(column, "target_encode", "column"), weight, count)
        for column in columns
    )
