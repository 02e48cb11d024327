"""The row scorer: a fitted recipe as plain functions over a list of slots."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.columns import RAW_TYPES, coercer, unknown

if TYPE_CHECKING:
    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted

# From this many rows on, polars is faster than one row after another (measured).
BATCH_FROM = 512


class RowScorer:
    """Compiled once from a fitted recipe; holds no row between calls."""

    def __init__(
        self,
        plan: Plan,
        steps: Sequence[Step],
        fitted: Mapping[int, Fitted],
        places: Mapping[str, int],
    ) -> None:
        self._inputs = {name: plan.types[name] for name in plan.inputs}
        self._fields = [
            (name, plan.raw[name], coercer(name, kind)) for name, kind in self._inputs.items()
        ]
        self._steps = [fitted[step.number].row(step.source, step.target) for step in steps]
        taken = [place for step in steps for place in step.target.values()]
        self._empty: list[Any] = [None] * (1 + max([plan.size - 1, *taken]))
        self._places = list(places.values())

    def _values(self, row: Mapping[str, Any]) -> list[float]:
        slots = self._empty.copy()
        try:
            for name, place, coerce in self._fields:
                slots[place] = coerce(row[name])
        except (KeyError, TypeError):
            self._check_fields(row)
            raise
        if len(row) != len(self._fields):
            self._check_fields(row)
        for step in self._steps:
            step(slots)
        nan = math.nan
        return [
            nan if (value := slots[place]) is None or value != value else value
            for place in self._places
        ]

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

    def one(self, row: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        """The features of one row."""
        # array casts as C does: what overflows is infinite, without a warning.
        return np.frombuffer(array("f", self._values(row)), np.float32)

    def some(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """The features of rows, one after another."""
        values = array("f")
        for row in rows:
            values.extend(self._values(row))
        return np.frombuffer(values, np.float32).reshape(len(rows), len(self._places))

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """The rows as a frame of raw columns, every field checked as ``one`` checks it."""
        count = len(self._fields)
        for row in rows:
            if not isinstance(row, Mapping) or len(row) != count:
                self._check_fields(row)
        columns = {}
        for name, _, coerce in self._fields:
            try:
                values = [coerce(row[name]) for row in rows]
            except KeyError:
                for row in rows:
                    self._check_fields(row)
                raise
            columns[name] = pl.Series(name, values, dtype=RAW_TYPES[self._inputs[name]])
        return pl.DataFrame(columns)
