"""The row scorer: a fitted recipe as a function of a row, or as a frame of rows for polars."""

from __future__ import annotations

import math
import operator
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.columns import RAW_TYPES, coercer, column_of, unknown
from raypipe.features.crossing import LARGEST, Crossing
from raypipe.features.row_code import row_function
from raypipe.features.transforms.base import slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted

F4 = np.dtype(np.float32)
# How often both ways are timed, on how many rows one by one; how many rows are a frame's while
# another thread is timing.
TRIES, CHUNK, UNSURE = 3, 64, 512

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
        self._crossing, self._timing = Crossing(), threading.Lock()

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

        A call that ``Crossing`` cannot decide takes the time of both ways, in turn.
        """
        one_by_one = self._crossing.one_by_one(len(rows))
        if one_by_one is None:
            return self._timed(rows)
        return self.some(rows) if one_by_one else self.through_polars(rows)

    def _timed(self, rows: Rows) -> Floats:
        if not self._timing.acquire(blocking=False):
            return self.some(rows) if len(rows) < UNSURE else self.through_polars(rows)
        try:
            few = rows[:LARGEST]
            made, equal = self._equal(few)
            self._crossing.learn(len(few), equal)
        finally:
            self._timing.release()
        return made if len(few) == len(rows) else self.rows(rows)

    def _equal(self, rows: Rows) -> tuple[Floats, float]:
        """The features by way of a frame, and how many rows take as long one by one.

        Of several times the least counts, since what else the machine does only adds. Rows one by
        one are timed on a few of them, elsewhere each time, so that they come from memory as others
        do.
        """
        frame_s = row_s = math.inf
        for turn in range(TRIES):
            begin = _Clock()
            made = self.through_polars(rows)
            frame_s = min(frame_s, begin.seconds())
            at = (len(rows) - min(CHUNK, len(rows))) * turn // (TRIES - 1)
            row_s = min(row_s, self._row_s(rows[at : at + CHUNK], frame_s))
        return made, frame_s / row_s

    def _row_s(self, rows: Rows, limit_s: float) -> float:
        """Seconds for each of some rows; of fewer where they would take longer than the limit."""
        begin = _Clock()
        self.some(rows[:1])
        first_s = begin.seconds()
        few = rows[: int(limit_s / first_s)]
        if len(few) < 2:
            return first_s
        begin = _Clock()
        self.some(few)
        return begin.seconds() / len(few)

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


class _Clock:
    """Seconds since it was made: of the clock or of this process, whichever are fewer.

    On a machine that is busy with other work the clock tells how long a call had to wait, and the
    process's time what it took; where several threads share the work, the clock tells less.
    """

    def __init__(self) -> None:
        self._process, self._clock = time.process_time(), time.perf_counter()

    def seconds(self) -> float:
        clock, process = time.perf_counter() - self._clock, time.process_time() - self._process
        return max(min(clock, process), 1e-9)
