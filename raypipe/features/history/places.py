"""Where each row's earlier events lie, and what lag and window read there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.features.asof.asked import Asked
from raypipe.features.asof.search import numbers
from raypipe.features.asof.table import units
from raypipe.features.history.windows import Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raypipe.features.transforms.earlier import Earlier

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


class Places:
    """Where the events of each row's key lie, in the order of key and time.

    Args:
        rows: the rows, with keys and times.
        events: the events, with keys, times and values.
        by: the key.
        time: the column of times.
    """

    def __init__(
        self, rows: pl.DataFrame, events: pl.DataFrame, by: tuple[str, ...], time: str
    ) -> None:
        self.index = Asked.of(events, by, time)
        self.events = events
        self.unit = rows.schema[time]
        self.code = self.index.codes.of(rows.select(by))
        some = rows.select((pl.all_horizontal(pl.col(*by, time).is_not_null())).alias("#"))
        self.told = some.to_series().to_numpy()  # rows whose key and time are not null
        self.has = self.told & (self.code >= 0) & (self.code < len(self.index.starts) - 1)
        self.time = numbers(rows[time], 0)

    def first(self, before: int) -> Ints:
        """For rows that have events: their key's first one at or after so long before the row."""
        return self.index.first_from(self.code[self.has], self.time[self.has] - before)

    def columns(self, one: Earlier) -> list[pl.Series]:
        """What a transform reads, for each row: Float64, null where it is missing."""
        values = self.events[one.column].cast(pl.Float64).fill_null(np.nan).to_numpy()
        values = values[self.index.rows]
        start = self.index.starts[self.code[self.has]]
        end = self.first(units(one.delay, self.unit))
        if one.n is not None:
            at = end - one.n
            none = at < start
            found = values[np.where(none, 0, at)] if len(values) else np.zeros(0)
            return [self._spread(one.reads[0], np.where(none, np.nan, found), None)]
        if one.last is not None:
            begin = np.maximum(start, end - one.last)
        else:
            assert one.within is not None
            begin = self.first(units(one.within, self.unit))
        windows = Windows(values, np.minimum(begin, end), end)
        return [
            self._spread(name, windows.figure(stat), 0.0 if stat in ("count", "sum") else None)
            for stat, name in zip(one.stats, one.reads, strict=True)
        ]

    def _spread(self, name: str, found: Floats, empty: float | None) -> pl.Series:
        """Values of rows with events as a column; others get what no event gives."""
        out = np.full(len(self.told), np.nan)
        if empty is not None:
            out[self.told] = empty
        out[self.has] = found
        return pl.Series(name, out).fill_nan(None)
