"""text_parts: lengths and counts of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
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
    check_type,
    slot,
    tampered,
)
from raypipe.features.transforms.tokens import POLARS_TOKEN, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_DIGITS = re.compile("[0-9]")

PARTS: dict[str, tuple[Callable[[pl.Expr], pl.Expr], Callable[[str], int]]] = {
    "length": (lambda c: c.str.len_chars(), len),
    "bytes": (lambda c: c.str.len_bytes(), lambda v: len(v.encode())),
    "tokens": (lambda c: c.str.count_matches(POLARS_TOKEN), lambda v: len(tokens(v))),
    "digits": (lambda c: c.str.count_matches("[0-9]"), lambda v: len(_DIGITS.findall(v))),
}


@dataclass(frozen=True, slots=True)
class TextParts(Transform):
    """Counts of a text, each as ``<column>_<part>``; null stays null, an empty text gives 0.

    ``length`` counts Unicode code points, not what a reader sees as one letter; ``bytes`` those of
    UTF-8; ``tokens`` longest runs without a separator (``tokens.py``); ``digits`` only 0 to 9.
    """

    column: str
    parts: tuple[str, ...]
    kind: ClassVar[str] = "text_parts"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """A whole number for each part."""
        dtype = schema[self.column]
        check_type(self.kind, self.column, dtype, dtype == pl.String, "a string")
        return {f"{self.column}_{part}": pl.Int64() for part in self.parts}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Parts(tuple(self.outputs(schema)), self.column, self.parts)

    def to_json(self) -> dict[str, Json]:
        """The column and its parts."""
        return {"column": self.column, "parts": list(self.parts)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "parts"}, cls.kind)
        if not isinstance(data["parts"], list):
            raise tampered(cls.kind, "parts is not a list", "parts")
        return cls(check_text(data["column"], cls.kind, "column"), _checked(data["parts"]))


@dataclass(frozen=True, slots=True)
class _Parts(Fitted):
    column: str
    parts: tuple[str, ...]

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        column = pl.col(slot(source[self.column]))
        return frame.with_columns(
            PARTS[part][0](column).cast(pl.Int64).alias(slot(target[output]))
            for part, output in zip(self.parts, self.outputs, strict=True)
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        have = source[self.column]
        places = [
            (target[output], PARTS[part][1])
            for part, output in zip(self.parts, self.outputs, strict=True)
        ]

        def step(slots: list[Any]) -> None:
            value: str | None = slots[have]
            if value is not None:
                for place, part in places:
                    slots[place] = part(value)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        text = settled(write, write.values[source[self.column]])
        for part, output in zip(self.parts, self.outputs, strict=True):
            write.put(target[output], applied(write, pl.Int64(), PARTS[part][1], text))
        return True


def _checked(parts: Sequence[str]) -> tuple[str, ...]:
    for part in parts:
        if not isinstance(part, str) or part not in PARTS:
            raise RecipeError(
                "text_parts does not know this part",
                repr(part)[:100],
                f"Use: {', '.join(PARTS)}.",
                "parts",
            )
    if not parts or len(set(parts)) != len(parts):
        raise RecipeError("text_parts needs each part once", repr(list(parts)), None, "parts")
    return tuple(parts)


def text_parts(column: str, parts: Sequence[str] = ("length", "tokens")) -> TextParts:
    """Counts of a text as features named ``<column>_<part>``; null stays null.

    Args:
        column: strings.
        parts: of length (code points), bytes (of UTF-8), tokens (longest runs of characters that
            are no separators), digits (0 to 9).

    Raises:
        RecipeError: a part is unknown or stands twice.
    """
    return TextParts(check_text(column, "text_parts", "column"), _checked(parts))
