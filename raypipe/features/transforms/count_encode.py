"""count_encode: how often a category was in the rows of the fit."""

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
    check_counts,
    check_keys_fit,
    check_sorted,
)
from raypipe.features.transforms.counts import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class CountEncode(Transform):
    """``<column>_count``, the rows of the fit with the same category, or ``<column>_share`` of all.

    Null counts as one more category, and so does an empty string. A category that the fit did not
    see gives 0. A column of floats, which could hold NaN, is refused. The label has no part in it.
    """

    column: str
    share: bool
    kind: ClassVar[str] = "count_encode"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The count as a whole number, or the share."""
        check_category(self.kind, self.column, schema[self.column])
        if self.share:
            return {f"{self.column}_share": pl.Float64()}
        return {f"{self.column}_count": pl.Int64()}

    def state(self, schema: Schema) -> State:
        """A count for each category."""
        return _Counted(self.column)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the count of each category."""
        check_keys(state, {"rows", "nulls", "keys", "counts"}, self.kind)
        dtype = schema[self.column]
        keys = check_sorted(state["keys"], dtype, self.kind, self.column)
        counts = check_counts(state["counts"], keys, self.kind, self.column)
        rows, nulls = state["rows"], state["nulls"]
        if not all(type(n) is int and 0 <= n < 2**63 for n in (rows, nulls)):
            raise tampered(self.kind, "rows or nulls is not a whole number", self.column)
        if rows != nulls + sum(counts) or not rows:
            raise tampered(self.kind, "the counts do not add up to the rows", self.column)
        (name, gives), *_ = self.outputs(schema).items()
        column = pl.Series(keys, dtype=dtype)
        if self.share:
            shares = pl.Series([count / rows for count in counts], dtype=pl.Float64)
            return Mapped((name,), self.column, column, shares, 0.0, nulls / rows)
        return Mapped((name,), self.column, column, pl.Series(counts, dtype=gives), 0, nulls)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "share": self.share}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "share"}, cls.kind)
        return cls(check_text(data["column"], cls.kind, "column"), _checked(data["share"]))


class _Counted(Counts):
    def finish(self) -> Json:
        keys, counts = self.counted()
        check_keys_fit(keys, "count_encode", self.column)
        return {"rows": self.rows, "nulls": self.nulls, "keys": keys, "counts": counts}


def _checked(share: Any) -> bool:
    if not isinstance(share, bool):
        raise RecipeError("share is not true or false", repr(share)[:100], None, "share")
    return share


def count_encode(*columns: str, share: bool = False) -> tuple[CountEncode, ...]:
    """How often the category was in the fit, as ``<column>_count`` or ``<column>_share``.

    Null counts as a category of its own; a category that the fit did not see gives 0.

    Args:
        *columns: strings, integers or booleans.
        share: gives the share of all rows of the fit in place of the number.

    Raises:
        RecipeError: ``share`` is not a boolean.
    """
    part = _checked(share)
    return tuple(
        CountEncode(check_text(column, "count_encode", "column"), part) for column in columns
    )
