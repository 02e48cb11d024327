"""The row scorer: a fitted recipe as a function of a row, or as a frame of rows for polars."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.columns import coercer, column_of, unknown
from raypipe.features.row_code import row_function
from raypipe.features.transforms.base import slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted

F4 = np.dtype(np.float32)
# Fewer rows go one by one without a question; so many are timed to find where polars is faster.
FEW = 8
SAMPLE, LARGE_SAMPLE = 64, 512

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
        self.batch_from: float | None = None  # not known before the first call with some rows

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
        """The features of rows, the faster way for so many."""
        if len(rows) < FEW and self.batch_from is None:
            return self.some(rows)
        if self.batch_from is None:
            self.batch_from = self._crossing(rows)
        return self.some(rows) if len(rows) < self.batch_from else self.through_polars(rows)

    def _crossing(self, rows: Rows) -> float:
        """From how many rows on polars is faster, timed once on rows of the caller.

        A row costs the same each time, polars a fixed time and less for each row: the row's time
        over 64 rows, and the line through polars' times for 64 and for 512 rows, cross there. The
        least of some runs counts, since whatever else the machine does only adds. Takes as long as
        polars needs for about 1,200 rows.
        """
        few = [rows[number % len(rows)] for number in range(SAMPLE)]
        many = few * (LARGE_SAMPLE // SAMPLE)
        few_s = min(_seconds(self.through_polars, few) for _ in range(3))
        many_s = min(_seconds(self.through_polars, many) for _ in range(2))
        row_s = min(self._row_seconds(few, few_s) for _ in range(3))
        each_s = max(0.0, (many_s - few_s) / (LARGE_SAMPLE - SAMPLE))
        fixed_s = max(0.0, few_s - SAMPLE * each_s)
        return fixed_s / (row_s - each_s) if row_s > each_s else math.inf

    def _row_seconds(self, rows: Rows, limit_s: float) -> float:
        """Seconds for one row; stops after ``limit_s``, since a step may be slow on rows."""
        begin = time.perf_counter()
        done, spent = 0, 0.0
        while done < len(rows) and spent <= limit_s:
            self.one(rows[done])
            done += 1
            spent = time.perf_counter() - begin
        return spent / done

    def frame(self, rows: Rows) -> pl.DataFrame:
        """The rows as a frame of slots, every field checked as ``one`` checks it."""
        count = len(self._fields)
        for row in rows:
            if not isinstance(row, Mapping) or len(row) != count:
                self._check_fields(row)
        columns = []
        for name, place, kind, coerce in self._fields:
            try:
                values = [row[name] for row in rows]
            except KeyError:
                for row in rows:
                    self._check_fields(row)
                raise
            columns.append(column_of(slot(place), kind, values, coerce))
        return pl.DataFrame(columns)


def _seconds(call: Callable[[Rows], object], rows: Rows) -> float:
    begin = time.perf_counter()
    call(rows)
    return time.perf_counter() - begin
