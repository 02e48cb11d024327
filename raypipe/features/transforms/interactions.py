"""interactions: the products of pairs of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.expressions.row_base import FLOAT, strict
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    Transform,
    check_keys,
    slot,
    tampered,
)
from raypipe.features.transforms.numbers import (
    as_floats,
    check_columns,
    check_numeric,
    float_code,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Interactions(Transform):
    """The product ``<a>*<b>`` of each pair of columns, in order, as floats.

    Null in either gives null, NaN in either gives NaN; infinity times 0 is NaN; what overflows is
    infinite. With ``squares`` each column is also multiplied by itself.
    """

    columns: tuple[str, ...]
    squares: bool
    kind: ClassVar[str] = "interactions"

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """A product for each pair."""
        for column in self.columns:
            check_numeric(self.kind, column, schema[column])
        return dict.fromkeys((f"{a}*{b}" for a, b in self._pairs()), pl.Float64())

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        choose = combinations_with_replacement if self.squares else combinations
        return tuple(choose(self.columns, 2))

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.columns[0])
        return _Products(tuple(self.outputs(schema)), self._pairs())

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"columns": list(self.columns), "squares": self.squares}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"columns", "squares"}, cls.kind)
        if not isinstance(data["squares"], bool):
            raise tampered(cls.kind, "squares is not a boolean", "squares")
        return cls(_checked(data["columns"], data["squares"]), data["squares"])


@dataclass(frozen=True, slots=True)
class _Products(Fitted):
    pairs: tuple[tuple[str, str], ...]

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        return frame.with_columns(
            (as_floats(source[a]) * as_floats(source[b])).alias(slot(target[name]))
            for (a, b), name in zip(self.pairs, self.outputs, strict=True)
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        places = [
            (source[a], source[b], target[name])
            for (a, b), name in zip(self.pairs, self.outputs, strict=True)
        ]

        def step(slots: list[Any]) -> None:
            for first, second, place in places:
                a, b = slots[first], slots[second]
                if a is not None and b is not None:
                    slots[place] = float(a) * float(b)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        names = dict.fromkeys(name for pair in self.pairs for name in pair)
        value = {name: float_code(write, source[name]) for name in names}
        for (a, b), name in zip(self.pairs, self.outputs, strict=True):
            write.put(target[name], strict(write, FLOAT, "({} * {})", value[a], value[b]))
        return True


def _checked(columns: Any, squares: bool) -> tuple[str, ...]:
    names = check_columns(columns, Interactions.kind, 1 if squares else 2)
    if len(names) > MAX_COLUMNS:
        raise tampered(Interactions.kind, f"more than {MAX_COLUMNS} columns", "columns")
    return names


def interactions(*columns: str, squares: bool = False) -> Interactions:
    """The products of all pairs of numeric columns as features named ``<a>*<b>``.

    Args:
        *columns: two to 100 numbers or booleans (one is enough with squares).
        squares: also each column by itself.

    Raises:
        RecipeError: there are too few or too many columns, or one stands twice.
    """
    return Interactions(_checked(columns, bool(squares)), bool(squares))
