"""The row scorer: a fitted recipe as a function of a row, or as a frame of rows for polars."""

from __future__ import annotations

import math
import operator
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.columns import RAW_TYPES, coercer, column_of, unknown
from raypipe.features.crossing import LARGEST
from raypipe.features.frame_cost import clear, pace
from raypipe.features.row_code import row_function
from raypipe.features.transforms.base import slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.features.crossing import Crossing
    from raypipe.features.frame_cost import FrameShape
    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted

F4 = np.dtype(np.float32)
# How often both ways are timed the first time, when polars may do things for the first time; on how
# many rows one by one; how many rows are a frame's while another thread is timing.
TRIES, CHUNK, UNSURE = 2, 64, 512
# For so long rows are scored one by one before a first guess.
GUESS_S = 2e-4

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
        shape: what that asks of polars.
        known: what is known of recipes of this kind; asked for when rows are first scored.
    """

    def __init__(
        self,
        plan: Plan,
        steps: Sequence[Step],
        fitted: Mapping[int, Fitted],
        places: Mapping[str, int],
        batch: Callable[[pl.DataFrame], Floats],
        shape: FrameShape,
        known: Callable[[], Crossing],
    ) -> None:
        self._inputs = {name: plan.types[name] for name in plan.inputs}
        self._fields = [
            (name, plan.raw[name], kind, coercer(name, kind)) for name, kind in self._inputs.items()
        ]
        self._batch = batch
        self._places = list(places.values())
        # A struct of the machine's own form casts as C does: what overflows is infinite.
        self._pack = struct.Struct(f"{len(self._places)}f").pack
        taken = [place for step in steps for place in step.target.values()]
        self._empty: list[Any] = [None] * (1 + max([plan.size - 1, *taken]))
        given = (self._places, self._check_fields, self._pack, self._empty)
        packed = row_function(self._fields, steps, fitted, *given)
        self._packed = packed or self._through_slots(steps, fitted)
        self.one = _one(self._packed)
        self._pick = operator.itemgetter(*self._inputs)
        self._shape, self._known = shape, known
        self._timing, self._tries = threading.Lock(), TRIES

    @cached_property
    def _crossing(self) -> Crossing:
        return self._known()

    def _through_slots(
        self, steps: Sequence[Step], fitted: Mapping[int, Fitted]
    ) -> Callable[[Any], bytes]:
        """The same without compiling, for a recipe of too many steps."""
        calls = [fitted[step.number].row(step.source, step.target) for step in steps]

        def packed(row: Any) -> bytes:
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
            return self._pack(*(nan if v is None or v != v else v for v in values))

        return packed

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

    def some(self, rows: Rows) -> Floats:
        """The features of rows, one after another."""
        made = bytearray().join(map(self._packed, rows))
        return np.frombuffer(made, F4).reshape(len(rows), len(self._places))

    def through_polars(self, rows: Rows) -> Floats:
        """The features of rows by way of a frame."""
        return self._batch(self.frame(rows))

    def rows(self, rows: Rows) -> Floats:
        """The features of rows, the faster way for so many.

        A call that ``Crossing`` cannot decide goes through a frame, and is timed; so are a few of
        its rows one by one.
        """
        one_by_one = self._crossing.one_by_one(len(rows))
        if one_by_one is None:
            return self._timed(rows)
        return self.some(rows) if one_by_one else self.through_polars(rows)

    def _timed(self, rows: Rows) -> Floats:
        if not self._timing.acquire(blocking=False):
            return self.some(rows) if len(rows) < UNSURE else self.through_polars(rows)
        made: Floats | None = None
        try:
            few = rows[:LARGEST]
            if self._crossing.blank:
                row_s = self._first_row_s(few[:CHUNK])
                self._crossing.guess(*clear(self._shape, row_s, pace()))
            else:
                made, equal = self._equal(few)
                self._crossing.learn(len(few), equal)
        finally:
            self._timing.release()
        return made if made is not None and len(few) == len(rows) else self.rows(rows)

    def _equal(self, rows: Rows) -> tuple[Floats, float]:
        """The features by way of a frame, and how many rows take as long one by one.

        Of several times the least counts, since what else the machine does only adds. Rows one by
        one are timed on a few of them, at both ends, so that they come from memory as others do.
        """
        frame_s = row_s = math.inf
        for _ in range(self._tries):
            begin = _Clock()
            made = self.through_polars(rows)
            frame_s = min(frame_s, begin.seconds())
        self._tries = 1
        for at in {0, len(rows) - min(CHUNK, len(rows))}:
            row_s = min(row_s, self._row_s(rows[at : at + CHUNK], frame_s))
        return made, frame_s / row_s

    def _first_row_s(self, rows: Rows) -> float:
        """Seconds for each of some rows before a guess: often, as the first times are longer."""
        begin = _Clock()
        self.some(rows[:1])
        few = rows[: max(1, int(GUESS_S / begin.seconds()))]
        least, spent = math.inf, 0.0
        while spent < GUESS_S:
            begin = _Clock()
            self.some(few)
            seconds = begin.seconds()
            spent += seconds
            least = min(least, seconds / len(few))
        return least

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


def _one(packed: Callable[[Any], bytes]) -> Callable[[Mapping[str, Any]], Floats]:
    """The features of one row; what it looks up each time are its own names."""
    array, own, dtype = np.frombuffer, bytearray, F4

    def one(row: Mapping[str, Any]) -> Floats:
        return array(own(packed(row)), dtype)  # of bytes of its own, which may be written to

    return one


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
