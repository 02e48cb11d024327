"""What the transforms over categories share: which types, how counted, how written."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import Value, inline
from raypipe.features.transforms.base import (
    Fitted,
    RowStep,
    RowWriter,
    Slots,
    check_type,
    slot,
    tampered,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Key = str | int | bool
MAX_KEYS = 1_000_000
_LONGEST = 10_000  # characters


def check_category(kind: str, column: str, dtype: pl.DataType) -> None:
    """Refuses a column that is not a string, an integer or a boolean.

    Raises:
        RecipeError: it is of another type.
    """
    fine = dtype == pl.String or dtype == pl.Boolean or dtype.is_integer()
    check_type(kind, column, dtype, fine, "a string, an integer or a boolean")


def coded(column: pl.Series) -> tuple[list[Key], npt.NDArray[np.int64]]:
    """The distinct values in sorted order, and for each row its place among them (no nulls)."""
    distinct = column.unique().sort()
    if column.dtype == pl.String:
        codes = column.cast(pl.Enum(distinct)).to_physical().to_numpy()
    else:
        codes = np.searchsorted(distinct.to_numpy(), column.to_numpy())
    return distinct.to_list(), codes.astype(np.int64)


def shown(key: Key) -> str:
    """A category as text: booleans are true and false."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def check_sorted(keys: Any, dtype: pl.DataType, kind: str, column: str) -> list[Key]:
    """Stored categories: of the column's type, sorted, each once.

    Raises:
        RecipeError: they are not.
    """
    want: type = str if dtype == pl.String else bool if dtype == pl.Boolean else int
    if not isinstance(keys, list) or not all(type(key) is want for key in keys):
        raise tampered(kind, f"its categories are not of type {want.__name__}", column)
    if want is int and not all(-(2**63) <= key < 2**63 for key in keys):
        raise tampered(kind, "a category is not a 64-bit integer", column)
    longest = max(map(len, keys), default=0) if want is str else 0
    if longest > _LONGEST:
        raise RecipeError(
            f"{kind}: a category of {column!r} is too long to be stored",
            f"{longest:,} characters",
            f"Use categories of at most {_LONGEST:,}, or hash_encode, which stores none.",
            column,
        )
    if not _rising(keys):
        raise tampered(kind, "its categories are not sorted and distinct", column)
    return keys


def _rising(keys: Sequence[Any]) -> bool:
    return all(a < b for a, b in itertools.pairwise(keys))


def check_whole(value: Any, kind: str, field: str, low: int, high: int = 2**53) -> int:
    """A whole number of a setting, within bounds.

    Raises:
        RecipeError: it is not one.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RecipeError(
            f"{kind}: {field} is not a whole number of {low} to {high}",
            repr(value)[:100],
            None,
            field,
        )
    return value


def check_keys_fit(keys: Sequence[Key], kind: str, column: str) -> None:
    """Refuses more categories than a stored recipe should hold.

    Raises:
        RecipeError: there are more than a million.
    """
    if len(keys) > MAX_KEYS:
        raise RecipeError(
            f"{kind} of {column!r} would keep too many categories",
            f"{len(keys)}",
            f"At most {MAX_KEYS}: put group_rare before it, or use hash_encode.",
            column,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Mapped(Fitted):
    """A number for each category, one for those unseen, and one for null: None is null again."""

    column: str
    keys: pl.Series
    values: pl.Series
    unseen: float
    null: float | None

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        """Through a table of the distinct values."""
        column, gives = pl.col(slot(source[self.column])), self.values.dtype
        made: pl.Expr = pl.lit(self.unseen, dtype=gives)
        if self.keys.len():
            made = column.replace_strict(
                self.keys, self.values, default=self.unseen, return_dtype=gives
            )
        made = pl.when(column.is_null()).then(pl.lit(self.null, dtype=gives)).otherwise(made)
        return frame.with_columns(made.alias(slot(target[self.outputs[0]])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        """Through a dictionary."""
        have, place, unseen = source[self.column], target[self.outputs[0]], self.unseen
        value_of = self._table()

        def step(slots: list[Any]) -> None:
            slots[place] = value_of.get(slots[have], unseen)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        """Through the same dictionary."""
        found = write.values[source[self.column]]
        parts = (write.bind(self._table().get), inline(write, found), write.bind(self.unseen))
        name = write.settled("{}({}, {})", *parts)
        null = found.nulls and self.null is None
        write.values[target[self.outputs[0]]] = Value(
            name, self.values.dtype, (name,) if null else ()
        )
        return True

    def _table(self) -> dict[Key | None, float | None]:
        return {**dict(zip(self.keys, self.values, strict=True)), None: self.null}


def check_counts(counts: Any, keys: Sequence[Key], kind: str, column: str) -> list[int]:
    """Stored rows by category.

    Raises:
        RecipeError: they are not a positive whole number for each category.
    """
    if not isinstance(counts, list) or len(counts) != len(keys):
        raise tampered(kind, "not a count for each category", column)
    if not all(type(count) is int and 0 < count < 2**63 for count in counts):
        raise tampered(kind, "a count is not a whole number above 0", column)
    return counts
