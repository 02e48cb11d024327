"""drop: columns that are there for others, not for the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

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
    tampered,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl


@dataclass(frozen=True, slots=True)
class Drop(Transform):
    """A column that an earlier transform gave is no feature; later transforms may still read it.

    Values play no part, null, NaN and infinities among them. What only this column needed is
    neither read nor fitted.
    """

    column: str
    kind: ClassVar[str] = "drop"
    gives: ClassVar[str] = "columns"
    drops: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """None."""
        return {}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state, and nothing is done."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Dropped(())

    def to_json(self) -> dict[str, Json]:
        """The column's name."""
        return {"column": self.column}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column"}, cls.kind)
        return cls(check_text(data["column"], cls.kind, "column"))


@dataclass(frozen=True, slots=True)
class _Dropped(Fitted):
    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        return frame

    def row(self, source: Slots, target: Slots) -> RowStep:
        return lambda slots: None

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        return True


def drop(*columns: str) -> tuple[Drop, ...]:
    """Columns that earlier transforms gave are no features.

    To be used where a column is a means alone: ``bins("x"), one_hot("x_bin"), drop("x_bin")``. A
    feature that only the fit can name (of one_hot) cannot be dropped.

    Raises:
        RecipeError: a name is not a text; at the fit: no earlier transform gives the column.
    """
    return tuple(Drop(check_text(column, "drop", "column")) for column in columns)
