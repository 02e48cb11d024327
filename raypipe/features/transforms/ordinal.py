"""ordinal: a whole number for each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    Schema,
    State,
    Transform,
    check_keys,
    check_text,
    tampered,
)
from raypipe.features.transforms.categories import (
    Mapped,
    check_category,
    check_keys_fit,
    check_sorted,
    check_whole,
)
from raypipe.features.transforms.counts import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping

ORDERS = ("frequency", "sorted")
UNSEEN = -1


@dataclass(frozen=True, slots=True)
class Ordinal(Transform):
    """``<column>_code``: 0, 1, 2, … for the categories of the fit.

    By ``frequency`` 0 is the most frequent one, ties in sorted order. ``sorted`` is the order of
    code points for strings, of size for integers, false before true. A category that the fit did
    not see, or saw fewer than ``min_count`` times, is -1. Null stays null. An empty string is a
    category; a column of floats, which could hold NaN, is refused.
    """

    column: str
    order: str
    min_count: int
    kind: ClassVar[str] = "ordinal"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The code."""
        check_category(self.kind, self.column, schema[self.column])
        return {f"{self.column}_code": pl.Int64()}

    def state(self, schema: Schema) -> State:
        """A count for each category."""
        return _Ordered(self.column, self.order, self.min_count)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the categories in their order."""
        if not isinstance(state, list):
            raise tampered(self.kind, "its categories are not a list", self.column)
        dtype = schema[self.column]
        if self.order == "sorted":
            check_sorted(state, dtype, self.kind, self.column)
        else:
            try:
                check_sorted(sorted(state), dtype, self.kind, self.column)
            except TypeError:
                raise tampered(self.kind, "its categories are of mixed types", "states") from None
        names = tuple(self.outputs(schema))
        codes = pl.Series(range(len(state)), dtype=pl.Int64)
        return Mapped(names, self.column, pl.Series(state, dtype=dtype), codes, UNSEEN, None)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "order": self.order, "min_count": self.min_count}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "order", "min_count"}, cls.kind)
        column = check_text(data["column"], cls.kind, "column")
        least = check_whole(data["min_count"], cls.kind, "min_count", 1)
        return cls(column, _order(data["order"]), least)


class _Ordered(Counts):
    def __init__(self, column: str, order: str, min_count: int) -> None:
        super().__init__(column)
        self.order = order
        self.min_count = min_count

    def finish(self) -> Json:
        kept = self.most_frequent(self.min_count)
        check_keys_fit(kept, "ordinal", self.column)
        return kept if self.order == "frequency" else sorted(kept)


def _order(order: Any) -> str:
    if not isinstance(order, str) or order not in ORDERS:
        raise RecipeError(
            "ordinal does not know this order",
            repr(order)[:100],
            f"Use: {', '.join(ORDERS)}.",
            "order",
        )
    return order


def ordinal(*columns: str, order: str = "frequency", min_count: int = 1) -> tuple[Ordinal, ...]:
    """A whole number for each category as ``<column>_code``: unseen -1, null stays null.

    Args:
        *columns: strings, integers or booleans.
        order: "frequency" (0 is the most frequent, ties in sorted order) or "sorted".
        min_count: rows that a category needs in the fit; rarer ones count as unseen.

    Raises:
        RecipeError: the order is unknown or ``min_count`` is not a whole number of at least 1.
    """
    how, least = _order(order), check_whole(min_count, "ordinal", "min_count", 1)
    return tuple(Ordinal(check_text(column, "ordinal", "column"), how, least) for column in columns)
