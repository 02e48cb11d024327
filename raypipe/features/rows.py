"""The row scorer: a fitted recipe as a function of a row, or as a frame of rows for polars."""

from __future__ import annotations

import math
import operator
import struct
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.columns import RAW_TYPES, coercer, column_of, unknown
from raypipe.features.row_code import row_function
from raypipe.features.transforms.base import slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted

F4 = np.dtype(np.float32)
# Fewer rows go one by one without a question.
FEW, CHUNK = 8, 64

Floats = npt.NDArray[np.float32]
Rows = Sequence[Mapping[str, Any]]


class RowScorer:
    """Compiled once from a fitted recipe; holds no row between calls.

    Args:
        plan: the recipe over its raw columns.
        steps: the steps that features need.
        fitted: what is applied at each.
        places: the slot of each feature.
        batch: the features of a frame of slots, through polars.
    """

    def __init__(
        self,
        plan: Plan,
        steps: Sequence[Step],
        fitted: Mapping[int, Fitted],
        places: Mapping[str, int],
        batch: Callable[[pl.DataFrame], Floats],
    ) -> None:
        self._inputs = {name: plan.types[name] for name in plan.inputs}
        self._fields = [
            (name, plan.raw[name], kind, coercer(name, kind)) for name, kind in self._inputs.items()
        ]
        self._batch = batch
        self._places = list(places.values())
        # A struct of the machine's own form casts as C does: what overflows is infinite.
        packer = struct.Struct(f"{len(self._places)}f")
        self._pack, self._size = packer.pack_into, packer.size
        taken = [place for step in steps for place in step.target.values()]
        self._empty: list[Any] = [None] * (1 + max([plan.size - 1, *taken]))
        given = (self._places, self._check_fields, self._pack, self._empty)
        into = row_function(self._fields, steps, fitted, *given)
        self._into = into or self._through_slots(steps, fitted)
        self._pick = operator.itemgetter(*self._inputs)
        # Lengths of numbers of rows in bits: up to which rows go one by one, from which to polars.
        self._by_row, self._by_batch = FEW.bit_length() - 1, 64

    def _through_slots(
        self, steps: Sequence[Step], fitted: Mapping[int, Fitted]
    ) -> Callable[[Any, Any, int], None]:
        """The same without compiling, for a recipe of too many steps."""
        calls = [fitted[step.number].row(step.source, step.target) for step in steps]

        def into(row: Any, out: Any, at: int) -> None:
            slots = self._empty.copy()
            try:
                for name, place, _, coerce in self._fields:
                    slots[place] = coerce(row[name])
            except (KeyError, TypeError):
                self._check_fields(row)
                raise
            if len(row) != len(self._fields):
                self._check_fields(row)
            for call in calls:
                call(slots)
            values = (slots[place] for place in self._places)
            nan = math.nan
            self._pack(out, at, *(nan if v is None or v != v else v for v in values))

        return into

    def _check_fields(self, row: Any) -> None:
        if not isinstance(row, Mapping):
            raise RecipeError("a row is a mapping of fields", type(row).__name__, None, "row")
        for name in self._inputs:
            if name not in row:
                raise unknown(name, map(str, row), "the recipe")
        for name in row:
            if name not in self._inputs:
                raise RecipeError(
                    f"field {str(name)[:100]!r} is unknown",
                    None,
                    f"Give exactly: {', '.join(self._inputs)}.",
                    str(name)[:100],
                )

    def one(self, row: Mapping[str, Any]) -> Floats:
        """The features of one row."""
        out = bytearray(self._size)
        self._into(row, out, 0)
        return np.frombuffer(out, F4)

    def some(self, rows: Rows) -> Floats:
        """The features of rows, one after another."""
        size, into, at = self._size, self._into, 0
        out = bytearray(size * len(rows))
        for row in rows:
            into(row, out, at)
            at += size
        return np.frombuffer(out, F4).reshape(len(rows), len(self._places))

    def through_polars(self, rows: Rows) -> Floats:
        """The features of rows by way of a frame."""
        return self._batch(self.frame(rows))

    def rows(self, rows: Rows) -> Floats:
        """The features of rows, the faster way for so many.

        A call of 8 rows or more of a size (a power of two) that was not met before goes both ways
        and is timed. Polars gains with rows: where it was faster, it is for more rows, and where
        it was slower, it is for fewer. Nothing is guessed from other sizes than those.
        """
        size = len(rows).bit_length()
        if size <= self._by_row:
            return self.some(rows)
        if size >= self._by_batch:
            return self.through_polars(rows)
        if self._polars_is_faster(rows):
            self._by_batch = size
            return self.through_polars(rows)
        self._by_row = size
        return self.some(rows)

    def _polars_is_faster(self, rows: Rows) -> bool:
        """Goes both ways; the least time counts, since what else the machine does only adds."""
        batch_s = min(_seconds(self.through_polars, rows) for _ in range(3))
        return all(self._longer_than(batch_s, rows) for _ in range(3))

    def _longer_than(self, limit_s: float, rows: Rows) -> bool:
        """Whether rows take longer one by one; asked after each 64, as a step may be slow."""
        begin = time.perf_counter()
        for at in range(0, len(rows), CHUNK):
            self.some(rows[at : at + CHUNK])
            if time.perf_counter() - begin > limit_s:
                return True
        return False

    def frame(self, rows: Rows) -> pl.DataFrame:
        """The rows as a frame of slots, every field checked as ``one`` checks it."""
        if not rows:
            return pl.DataFrame(
                {
                    slot(place): pl.Series([], dtype=RAW_TYPES[kind])
                    for _, place, kind, _ in self._fields
                }
            )
        try:
            counts = set(map(len, rows))
            picked = list(map(self._pick, rows))
        except (KeyError, TypeError):
            for row in rows:
                self._check_fields(row)
            raise
        if counts != {len(self._fields)}:
            for row in rows:
                self._check_fields(row)
        columns = zip(*picked, strict=True) if len(self._fields) > 1 else [picked]
        made = []
        for values, (_, place, kind, coerce) in zip(columns, self._fields, strict=True):
            made.append(column_of(slot(place), kind, values, coerce))
        return pl.DataFrame(made)


def _seconds(call: Callable[[Rows], object], rows: Rows) -> float:
    begin = time.perf_counter()
    call(rows)
    return time.perf_counter() - begin
