"""select: a column as a feature, as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

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

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Select(Transform):
    """A numeric or boolean column as a feature: false 0, true 1, null and NaN both NaN.

    Infinities stay as they are.
    """

    column: str
    kind: ClassVar[str] = "select"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The column under its own name."""
        return {self.column: schema[self.column]}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Selected((self.column,))

    def to_json(self) -> dict[str, Json]:
        """The column's name."""
        return {"column": self.column}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column"}, cls.kind)
        return cls(check_text(data["column"], cls.kind, "column"))


@dataclass(frozen=True, slots=True)
class _Selected(Fitted):
    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        name = self.outputs[0]
        return frame.with_columns(pl.col(slot(source[name])).alias(slot(target[name])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place = source[self.outputs[0]], target[self.outputs[0]]

        def step(slots: list[Any]) -> None:
            slots[place] = slots[have]

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        write.values[target[self.outputs[0]]] = write.values[source[self.outputs[0]]]
        return True


def select(*columns: str) -> tuple[Select, ...]:
    """Columns as features, as they are: null becomes NaN, NaN stays NaN.

    Raises:
        RecipeError: a name is not a text.
    """
    return tuple(Select(check_text(column, "select", "column")) for column in columns)
