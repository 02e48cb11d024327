"""one_hot: a feature for each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

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
    slot,
    tampered,
)
from raypipe.features.transforms.categories import (
    Key,
    check_category,
    check_sorted,
    check_whole,
    shown,
)
from raypipe.features.transforms.counts import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CATEGORIES = 2_000
_SMALL = 64


@dataclass(frozen=True, slots=True)
class OneHot(Transform):
    """A feature ``<column>=<value>`` for each category of the fit, 1 where it holds, else 0.

    Categories stand in sorted order. A null, a category that the fit did not see and one that it
    saw fewer than ``min_count`` times give 0 in all of them, and so do all but the
    ``max_categories`` most frequent (ties in sorted order). An empty string is a category. A column
    of floats, which could hold NaN, is refused.
    """

    column: str
    min_count: int
    max_categories: int | None = None
    kind: ClassVar[str] = "one_hot"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """None that a later transform could name: they are known after the fit."""
        check_category(self.kind, self.column, schema[self.column])
        return {}

    def state(self, schema: Schema) -> State:
        """A count for each category."""
        return _Counts(self.column, self.min_count, self.max_categories)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the categories."""
        keys = check_sorted(state, schema[self.column], self.kind, self.column)
        if len(keys) > MAX_CATEGORIES:
            raise tampered(self.kind, "it has too many categories", self.column)
        names = tuple(f"{self.column}={shown(key)}" for key in keys)
        return _Hot(names, self.column, tuple(keys), schema[self.column])

    def to_json(self) -> dict[str, Json]:
        """The settings; a limit only where one is set, as it came later."""
        limit = {} if self.max_categories is None else {"max_categories": self.max_categories}
        return {"column": self.column, "min_count": self.min_count, **limit}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "min_count", *({"max_categories"} & set(data))}, cls.kind)
        column = check_text(data["column"], cls.kind, "column")
        limit = data.get("max_categories")
        if "max_categories" in data:
            limit = check_whole(limit, cls.kind, "max_categories", 1, MAX_CATEGORIES)
        return cls(column, _checked(data["min_count"]), limit)


class _Counts(Counts):
    def __init__(self, column: str, min_count: int, limit: int | None) -> None:
        super().__init__(column)
        self.min_count = min_count
        self.limit = limit

    def finish(self) -> Json:
        kept = self.most_frequent(self.min_count, self.limit)
        if len(kept) > MAX_CATEGORIES:
            raise RecipeError(
                f"one_hot of {self.column!r} would give too many features",
                f"{len(kept)} categories",
                f"At most {MAX_CATEGORIES}: set max_categories, raise min_count, or use "
                "target_encode.",
                self.column,
            )
        return sorted(kept)


@dataclass(frozen=True, slots=True)
class _Hot(Fitted):
    column: str
    keys: tuple[Key, ...]
    dtype: pl.DataType
    plain: ClassVar[bool] = True

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = pl.col(slot(source[self.column]))
        return frame.with_columns(
            column.eq_missing(pl.lit(key, dtype=self.dtype))
            .cast(pl.Float32)
            .alias(slot(target[name]))
            for key, name in zip(self.keys, self.outputs, strict=True)
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        have = source[self.column]
        places = [target[name] for name in self.outputs]
        place_of = dict(zip(self.keys, places, strict=True))

        def step(slots: list[Any]) -> None:
            for place in places:
                slots[place] = 0.0
            hot = place_of.get(slots[have])
            if hot is not None:
                slots[hot] = 1.0

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        if not self.keys:
            return True
        zeros = (0.0,) * len(self.keys)
        hot = {key: at for at, key in enumerate(self.keys)}

        def found(key: Key | None) -> tuple[float, ...]:
            at = hot.get(key)  # type: ignore[arg-type]  # None is no key, and so is not found
            return zeros if at is None else (*zeros[:at], 1.0, *zeros[at + 1 :])

        places, value = [target[name] for name in self.outputs], write.read(source[self.column])
        if len(zeros) > _SMALL:
            write.block(places, "{}({})", write.bind(found), value)
        else:  # a tuple for each category: faster, but they take the square of their number
            ready = {key: found(key) for key in self.keys}
            parts = (write.bind(ready.get), value, write.bind(zeros))
            write.block(places, "{}({}, {})", *parts)
        return True


def _checked(min_count: Any) -> int:
    if not isinstance(min_count, int) or isinstance(min_count, bool) or min_count < 1:
        raise RecipeError(
            "min_count is not a whole number of at least 1",
            repr(min_count)[:100],
            None,
            "min_count",
        )
    return min_count


def one_hot(
    *columns: str, min_count: int = 1, max_categories: int | None = None
) -> tuple[OneHot, ...]:
    """A feature ``<column>=<value>`` for each category of the fit, in sorted order.

    Nulls and categories that the fit did not see give 0 everywhere.

    Args:
        *columns: strings, integers or booleans.
        min_count: rows that a category needs in the fit to get a feature.
        max_categories: only so many, the most frequent in the fit, get a feature; ties are
            broken in sorted order. All if not given, up to 2,000.

    Raises:
        RecipeError: a setting is not a whole number of at least 1, or the limit is above 2,000.
    """
    least = _checked(min_count)
    if max_categories is not None:
        check_whole(max_categories, "one_hot", "max_categories", 1, MAX_CATEGORIES)
    return tuple(
        OneHot(check_text(column, "one_hot", "column"), least, max_categories) for column in columns
    )
