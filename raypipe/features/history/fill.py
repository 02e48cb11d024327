"""Fills the columns that lag and window read, from the earlier events of each row's key."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.asof.asked import Asked
from raypipe.features.asof.search import numbers
from raypipe.features.asof.table import schema_of, units
from raypipe.features.columns import RAW_TYPES, coercer, raw_type, unknown
from raypipe.features.history.windows import Windows
from raypipe.features.transforms.earlier import Earlier
from raypipe.features.transforms.numbers import check_numeric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from raypipe.features.asof.table import Data
    from raypipe.features.transforms import Transform

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def with_history(
    transforms: Sequence[Transform], rows: Data, events: Data | None = None
) -> pl.DataFrame:
    """Rows with the columns that the recipe's ``lag`` and ``window`` transforms read.

    See ``Recipe.with_history``.
    """
    asked = [one for one in transforms if isinstance(one, Earlier)]
    frame = _frame(rows)
    source = frame if events is None else _frame(events)
    _check(asked, frame, source)
    made: list[pl.Series] = []
    for (by, time), some in groupby(
        sorted(asked, key=lambda one: (one.by, one.time)), lambda one: (one.by, one.time)
    ):
        places = _Places(frame, source, by, time)
        for one in some:
            made += places.columns(one)
    order = [name for one in asked for name in one.reads]
    found = {series.name: series for series in made}
    return frame.with_columns([found[name] for name in order])


def filled(
    transforms: Sequence[Transform],
    rows: Sequence[Mapping[str, Any]],
    events: pl.DataFrame,
    inputs: Sequence[str],
) -> list[dict[str, Any]]:
    """Rows as mappings with exactly the inputs; see ``FittedRecipe.with_history``."""
    asked = [one for one in transforms if isinstance(one, Earlier)]
    needed = dict.fromkeys(name for one in asked for name in (*one.by, one.time))
    for name in needed:
        _there(name, events.schema, "with_history, of the events,")
    columns = {}
    for name in needed:
        kind = raw_type(name, events.schema[name])
        take = coercer(name, kind)
        values = [take(_field(row, name)) for row in rows]
        columns[name] = pl.Series(name, values, dtype=RAW_TYPES[kind]).cast(events.schema[name])
    made = with_history(transforms, pl.DataFrame(columns), events)
    own = {name: made[name].to_list() for one in asked for name in one.reads}
    return [
        {name: own[name][at] if name in own else _field(row, name) for name in inputs}
        for at, row in enumerate(rows)
    ]


def _field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise unknown(name, map(str, row), "with_history")
    return row[name]


class _Places:
    """Where the events of each row's key lie, in the order of key and time."""

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


def _frame(data: Data) -> pl.DataFrame:
    schema = schema_of(data, "the rows")
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    none = pl.DataFrame(schema=schema)
    return pl.concat([none, *(part.read(list(schema)) for part in data.parts())])


def _check(asked: Sequence[Earlier], rows: pl.DataFrame, events: pl.DataFrame) -> None:
    for one in asked:
        for name in (*one.by, one.time):
            _there(name, rows.schema, f"{one.kind}, of the rows,")
            _there(name, events.schema, f"{one.kind}, of the events,")
            if rows.schema[name] != events.schema[name]:
                raise RecipeError(
                    f"{one.kind}: {name!r} is of another type in the events",
                    f"{rows.schema[name]} and {events.schema[name]}",
                    "Bring them to one type.",
                    name,
                )
        if rows.schema[one.time] not in (pl.Datetime, pl.Date):
            raise RecipeError(
                f"{one.kind}: {one.time!r} is not a time",
                str(rows.schema[one.time]),
                "Give a datetime.",
                one.time,
            )
        _there(one.column, events.schema, f"{one.kind}, of the events,")
        check_numeric(one.kind, one.column, events.schema[one.column])


def _there(name: str, schema: Mapping[str, pl.DataType], by: str) -> None:
    if name not in schema:
        raise unknown(name, schema, by)
