"""hash_encode: a bucket for each value, by a hash that never changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.expressions.row_base import applied, settled
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    Transform,
    check_keys,
    check_text,
    slot,
    tampered,
)
from raypipe.features.transforms.categories import check_category, check_whole, shown
from raypipe.features.transforms.hashing import text_bucket

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_WIDTH = 2**31


@dataclass(frozen=True, slots=True)
class HashEncode(Transform):
    """``<column>_hash``: a bucket from 0 to ``width - 1``; nothing is learned.

    The bucket is ``murmur3_finaliser(crc32(text)) * width >> 32`` of the value's text in UTF-8.
    Integers are written in decimal, booleans as ``true`` and ``false``; so 5 and "5" share a
    bucket. Null stays null. No value is unseen, and an empty string is a value like any other. A
    column of floats, which could hold NaN, is refused.
    """

    column: str
    width: int
    kind: ClassVar[str] = "hash_encode"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The bucket."""
        check_category(self.kind, self.column, schema[self.column])
        return {f"{self.column}_hash": pl.Int64()}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Hashed(tuple(self.outputs(schema)), self.column, self.width, schema[self.column])

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "width": self.width}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "width"}, cls.kind)
        column = check_text(data["column"], cls.kind, "column")
        return cls(column, check_whole(data["width"], cls.kind, "width", 2, MAX_WIDTH))


@dataclass(frozen=True, slots=True)
class _Hashed(Fitted):
    column: str
    width: int
    dtype: pl.DataType

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        width = self.width

        def buckets(column: pl.Series) -> pl.Series:
            distinct = column.drop_nulls().unique()
            found = [text_bucket(shown(value).encode(), width) for value in distinct.to_list()]
            if not found:
                return pl.repeat(None, len(column), dtype=pl.Int64, eager=True)
            return column.replace_strict(
                distinct, pl.Series(found, dtype=pl.Int64), default=None, return_dtype=pl.Int64
            )

        column = pl.col(slot(source[self.column]))
        made = column.map_batches(buckets, return_dtype=pl.Int64())
        return frame.with_columns(made.alias(slot(target[self.outputs[0]])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place, width = source[self.column], target[self.outputs[0]], self.width

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                slots[place] = text_bucket(shown(value).encode(), width)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        width = self.width
        made = applied(
            write,
            pl.Int64(),
            lambda value: text_bucket(shown(value).encode(), width),
            settled(write, write.values[source[self.column]]),
        )
        write.put(target[self.outputs[0]], made)
        return True


def hash_encode(*columns: str, width: int) -> tuple[HashEncode, ...]:
    """A bucket for each value as ``<column>_hash``, the same on every machine and for ever.

    For columns with too many categories to remember. The bucket is
    ``murmur3_finaliser(crc32(text)) * width >> 32``; null stays null.

    Args:
        *columns: strings, integers or booleans.
        width: how many buckets, from 2 to 2**31.

    Raises:
        RecipeError: ``width`` is out of bounds.
    """
    check_whole(width, "hash_encode", "width", 2, MAX_WIDTH)
    return tuple(
        HashEncode(check_text(column, "hash_encode", "column"), width) for column in columns
    )
