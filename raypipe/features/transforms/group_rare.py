"""group_rare: rare categories become one, for later transforms to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import settled, strict
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
    slot,
)
from raypipe.features.transforms.categories import (
    MAX_KEYS,
    check_category,
    check_keys_fit,
    check_sorted,
    check_whole,
)
from raypipe.features.transforms.counts import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class GroupRare(Transform):
    """The column again, with ``other`` for what the fit saw rarely or not at all.

    Kept is a category of at least ``min_count`` rows of the fit, and of these the
    ``max_categories`` most frequent, ties in sorted order. Null stays null. An empty string is a
    category; a column of floats, which could hold NaN, is refused. A category that is itself named
    as ``other`` joins the rare ones. It is no feature: later transforms read it under the column's
    own name.
    """

    column: str
    min_count: int
    max_categories: int
    other: str | int
    kind: ClassVar[str] = "group_rare"
    gives: ClassVar[str] = "columns"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The column, of its type."""
        dtype = schema[self.column]
        check_category(self.kind, self.column, dtype)
        check_type(self.kind, self.column, dtype, dtype != pl.Boolean, "a string or an integer")
        want = str if dtype == pl.String else int
        if type(self.other) is not want:
            raise RecipeError(
                f"group_rare: other is of another type than column {self.column!r}",
                f"{self.other!r} for {dtype}",
                f"Set other= to a value of type {want.__name__}.",
                self.column,
            )
        return {self.column: dtype}

    def state(self, schema: Schema) -> State:
        """A count for each category."""
        return _Kept(self)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the categories that are kept."""
        keys = check_sorted(state, schema[self.column], self.kind, self.column)
        return _Grouped(
            tuple(self.outputs(schema)), pl.Series(keys, dtype=schema[self.column]), self.other
        )

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {
            "column": self.column,
            "min_count": self.min_count,
            "max_categories": self.max_categories,
            "other": self.other,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "min_count", "max_categories", "other"}, cls.kind)
        _check(data["column"], data["min_count"], data["max_categories"], data["other"])
        return cls(data["column"], data["min_count"], data["max_categories"], data["other"])


class _Kept(Counts):
    def __init__(self, of: GroupRare) -> None:
        super().__init__(of.column)
        self.of = of

    def finish(self) -> Json:
        kept = self.most_frequent(self.of.min_count, self.of.max_categories)
        check_keys_fit(kept, "group_rare", self.column)
        return sorted(kept)


@dataclass(frozen=True, slots=True, eq=False)
class _Grouped(Fitted):
    keys: pl.Series
    other: str | int

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        name = self.outputs[0]
        column = pl.col(slot(source[name]))
        kept = column.is_null() | column.is_in(self.keys.implode())
        other = pl.lit(self.other, dtype=self.keys.dtype)
        made = pl.when(kept).then(column).otherwise(other)
        return frame.with_columns(made.alias(slot(target[name])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place, other = source[self.outputs[0]], target[self.outputs[0]], self.other
        kept = frozenset((None, *self.keys))

        def step(slots: list[Any]) -> None:
            value = slots[have]
            slots[place] = value if value in kept else other

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        found = settled(write, write.values[source[self.outputs[0]]])
        gaps = {"kept": write.bind(frozenset(self.keys)), "other": write.bind(self.other)}
        made = strict(write, found.dtype, "({0} if {0} in {kept} else {other})", found, gaps=gaps)
        write.put(target[self.outputs[0]], made)
        return True


def _check(column: Any, min_count: Any, most: Any, other: Any) -> None:
    kind = GroupRare.kind
    check_text(column, kind, "column")
    check_whole(min_count, kind, "min_count", 1)
    check_whole(most, kind, "max_categories", 1, MAX_KEYS)
    if isinstance(other, str):
        check_text(other, kind, "other")
    else:
        check_whole(other, kind, "other", -(2**63), 2**63 - 1)


def group_rare(
    *columns: str, min_count: int = 1, max_categories: int = MAX_KEYS, other: str | int = "other"
) -> tuple[GroupRare, ...]:
    """Columns again, with one value for all rare and unseen categories, for later transforms.

    Args:
        *columns: strings or integers.
        min_count: rows that a category needs in the fit to be kept.
        max_categories: only so many are kept, the most frequent; ties are broken in sorted order.
        other: what the others become: a text for strings, a whole number for integers.

    Raises:
        RecipeError: a setting is out of bounds, or neither bound is set.

    Example:
        >>> import polars as pl
        >>> from raypipe.features import Recipe, transforms as t
        >>> recipe = Recipe(t.group_rare("s", min_count=2), t.one_hot("s"))
        >>> recipe.fit(pl.DataFrame({"s": ["a", "a", "b", "c"]})).feature_names
        ('s=a', 's=other')
    """
    if min_count == 1 and max_categories == MAX_KEYS:
        raise RecipeError(
            "group_rare has nothing to tell rare by",
            None,
            "Set min_count or max_categories.",
            "min_count",
        )
    for column in columns:
        _check(column, min_count, max_categories, other)
    return tuple(GroupRare(column, min_count, max_categories, other) for column in columns)
