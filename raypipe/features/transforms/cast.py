"""cast: a column as another type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import applied, missing, settled
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
from raypipe.features.transforms.conversions import TYPES, Conversion, conversions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Cast(Transform):
    """A column as another type, under its own name; a feature unless a later transform reads it.

    Null stays null. A value that the type cannot hold is an error if ``strict``, in a batch and
    in a row, at the fit and later; else it becomes null.

    - To float64: numbers and booleans (an integer beyond 2**53 the nearest float); texts such as
      "-1.5e3" (one too large is infinite; not "nan", "inf", "" or with spaces).
    - To int64: booleans; floats, cut off towards zero (not NaN, infinities or beyond 64 bits);
      texts of digits; a date as days, a datetime as microseconds since 1970.
    - To bool: integers (0 is false), the texts "true" and "false".
    - To string: integers, booleans ("true", "false"), dates (ISO).
    - To date: datetimes (their day in UTC), texts "2013-01-31".
    - To datetime: dates (their first moment), texts "2013-01-31T05:30:00.25" with up to six
      digits of a second, a space for the T; without a zone, for UTC.
    """

    column: str
    to: str
    strict: bool
    kind: ClassVar[str] = "cast"
    refuses: ClassVar[bool] = True
    gives: ClassVar[str] = "loose"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The column in its new type."""
        dtype = schema[self.column]
        known = conversions(dtype)
        if self.to not in known:
            raise RecipeError(
                f"cast cannot make {self.to} of column {self.column!r}",
                str(dtype),
                f"Of it can be made: {', '.join(known) or 'nothing'}.",
                self.column,
            )
        return {self.column: TYPES[self.to]}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        conversion = conversions(schema[self.column])[self.to]
        return _Cast(tuple(self.outputs(schema)), conversion, self.to, self.strict)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "to": self.to, "strict": self.strict}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "to", "strict"}, cls.kind)
        if not isinstance(data["strict"], bool):
            raise tampered(cls.kind, "strict is not a boolean", "strict")
        column = check_text(data["column"], cls.kind, "column")
        return cls(column, _checked(data["to"]), data["strict"])


@dataclass(frozen=True, slots=True)
class _Cast(Fitted):
    conversion: Conversion
    to: str
    strict: bool

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        name = self.outputs[0]
        column = pl.col(slot(source[name]))
        made = self.conversion.batch(column)
        if self.strict and not self.conversion.safe:
            made = pl.map_batches(
                [column, made], self._all_made, return_dtype=TYPES[self.to], is_elementwise=True
            )
        return frame.with_columns(made.alias(slot(target[name])))

    def _all_made(self, both: Sequence[pl.Series]) -> pl.Series:
        given, made = both
        if made.null_count() > given.null_count():
            lost = given.filter(given.is_not_null() & made.is_null())
            raise self._refused(lost[0])
        return made

    def _refused(self, value: Any) -> RecipeError:
        name = self.outputs[0]
        return RecipeError(
            f"cast cannot make {self.to} of a value of column {name!r}",
            repr(value)[:100],
            "Use strict=False to make it null.",
            name,
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place = source[self.outputs[0]], target[self.outputs[0]]
        convert = self.conversion.row
        if not self.strict or self.conversion.safe:

            def step(slots: list[Any]) -> None:
                value = slots[have]
                if value is not None:
                    slots[place] = convert(value)

            return step

        def checked(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None:
                made = convert(value)
                if made is None:
                    raise self._refused(value)
                slots[place] = made

        return checked

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        place, dtype = target[self.outputs[0]], TYPES[self.to]
        found, convert = settled(write, write.values[source[self.outputs[0]]]), self.conversion.row
        if self.conversion.safe:
            same = found.dtype == dtype
            write.put(place, found if same else applied(write, dtype, convert, found))
            return True

        def checked(value: Any) -> Any:
            made = convert(value)
            if made is None:
                raise self._refused(value)
            return made

        if self.strict:
            write.put(place, applied(write, dtype, checked, found))
        else:
            write.put(place, missing(write, dtype, convert, found))
        return True


def _checked(to: Any) -> str:
    if not isinstance(to, str) or to not in TYPES:
        raise RecipeError(
            "cast does not know this type", repr(to)[:100], f"Use: {', '.join(TYPES)}.", "to"
        )
    return to


def cast(
    types: Mapping[str, str] | None = None, /, *, strict: bool = True, **more: str
) -> tuple[Cast, ...]:
    """Columns as another type, as ``cast(code="string", amount="float64")``.

    Args:
        types: the type of each column, for names that are no Python names (or "strict").
        strict: whether a value that the type cannot hold is an error, and not null.
        **more: further columns and types: int64, float64, string, bool, date or datetime.

    Raises:
        RecipeError: a type is unknown; at the fit or later: a column's type cannot become it, or,
            if strict, a value cannot.
    """
    return tuple(
        Cast(check_text(column, "cast", "column"), _checked(to), bool(strict))
        for column, to in {**(types or {}), **more}.items()
    )
