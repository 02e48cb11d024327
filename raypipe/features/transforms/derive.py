"""derive: a new column from a polars expression."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.identity import canonical_json
from raypipe.expressions import (
    POLARS_ERRORS,
    compile_row,
    decode,
    encode,
    growth,
    lower,
    node_count,
    root_columns,
    write_row,
)
from raypipe.expressions.row_base import settled
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
    from collections.abc import Callable, Mapping

    from raypipe.expressions import Growth


@dataclass(frozen=True, slots=True)
class Derive(Transform):
    """A column that an expression gives, row by row.

    Nulls, NaN, infinities and overflow mean what polars makes of them; ``//`` and ``%`` of floats
    are computed as ``floor(a / b)`` and ``a - b * floor(a / b)``. The column is a feature unless a
    later transform reads it or it is the label.
    """

    name: str
    text: str  # canonical JSON of the expression: hashable, and one text for one expression
    kind: ClassVar[str] = "derive"
    refuses: ClassVar[bool] = True
    gives: ClassVar[str] = "loose"

    @property
    def expression(self) -> Json:
        """The expression in its stored form."""
        return json.loads(self.text)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that the expression reads."""
        return root_columns(self.expression)

    @property
    def weight(self) -> int:
        """The nodes of the expression."""
        return node_count(self.expression)

    def texts(self, known: Mapping[str, Growth]) -> Growth:
        """Those that the expression joins."""
        try:
            return growth(self.expression, known)
        except RecipeError as failure:
            what = f"derive of {self.name!r}: {failure.what}"
            raise RecipeError(what, failure.got, failure.act, self.name) from failure

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The column, of the type that polars gives it."""
        frame = pl.LazyFrame(schema={name: schema[name] for name in self.reads})
        try:
            found = frame.select(decode(self.expression).alias(self.name)).collect_schema()
        except POLARS_ERRORS as failure:
            raise self._refused(failure) from failure
        return dict(found)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """The expression itself; there is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.name)
        try:
            lowered = lower(self.expression, schema)
        except POLARS_ERRORS as failure:
            raise self._refused(failure) from failure
        return _Derived((self.name,), lowered, dict(schema))

    def _refused(self, failure: BaseException) -> RecipeError:
        what = f"derive cannot compute {self.name!r}"
        return RecipeError(what, str(failure)[:500], "Fix its types.", self.name)

    def to_json(self) -> dict[str, Json]:
        """The name and the expression."""
        return {"name": self.name, "expression": self.expression}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again, its expression checked node by node."""
        check_keys(data, {"name", "expression"}, cls.kind)
        if not root_columns(data["expression"]):
            raise tampered(cls.kind, "an expression reads no column", "expression")
        name = check_text(data["name"], cls.kind, "name")
        return cls(name, canonical_json(data["expression"]))


@dataclass(frozen=True, slots=True)
class _Derived(Fitted):
    expression: Json
    schema: dict[str, pl.DataType]

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        expr = decode(_renamed(self.expression, source))
        return frame.with_columns(expr.alias(slot(target[self.outputs[0]])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        place = target[self.outputs[0]]
        reads = {name: source[name] for name in root_columns(self.expression)}
        types = {name: self.schema[name] for name in reads}
        value = compile_row(self.expression, types, reads)
        if value is None:
            value = _through_polars(self.outputs[0], self.expression, types, reads)

        def step(slots: list[Any]) -> None:
            slots[place] = value(slots)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        columns = {name: write.values[source[name]] for name in root_columns(self.expression)}
        value = write_row(self.expression, write, columns)
        if value is None:
            return False
        write.values[target[self.outputs[0]]] = settled(write, value)
        return True


def _through_polars(
    name: str, expression: Json, types: dict[str, pl.DataType], reads: dict[str, int]
) -> Callable[[list[Any]], Any]:
    expr = decode(expression).alias("#")

    def value(slots: list[Any]) -> Any:
        # Two rows in one piece: polars takes a column of one row for a constant, and divides by a
        # constant in another way than by a column. It cuts a frame into pieces when it is lazy.
        frame = pl.DataFrame(
            {name: [slots[place]] * 2 for name, place in reads.items()}, schema=types
        )
        with contextlib.suppress(*POLARS_ERRORS):
            return frame.select(expr)["#"][0]
        try:  # lazily it takes a few expressions more
            return frame.lazy().select(expr).collect(optimizations=pl.QueryOptFlags.none())["#"][0]
        except POLARS_ERRORS as failure:
            raise RecipeError(
                f"derive cannot compute {name!r}", str(failure)[:500], None, name
            ) from failure

    return value


def _renamed(data: Json, source: Slots) -> Json:
    def walk(node: Json) -> Json:
        if "col" in node:
            return {"col": slot(source[node["col"]])}
        if "args" in node:
            return {**node, "args": [walk(child) for child in node["args"]]}
        return node

    return {**data, "expr": walk(data["expr"])}


def derive(**expressions: pl.Expr) -> tuple[Derive, ...]:
    """New columns from polars expressions, each from its own row alone, from left to right.

    A derived column is a feature unless a later transform reads it or it is the label.

    Args:
        **expressions: the name and the expression of each column, as ``late=pl.col("delay") > 15``.

    Raises:
        RecipeError: an expression reads no column, or holds what cannot be stored as data, such as
            a Python function.
    """
    made = []
    for name, expression in expressions.items():
        try:
            text = canonical_json(encode(expression))
        except RecipeError as failure:
            raise RecipeError(
                f"derive of {name!r}: {failure.what}", failure.got, failure.act, name
            ) from failure
        if not root_columns(json.loads(text)):
            raise RecipeError(f"derive of {name!r} reads no column", None, "Name one.", name)
        made.append(Derive(name, text))
    return tuple(made)
