"""Fills the columns that lag and window read, from the earlier events of each row's key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.identity import content_hash
from raypipe.core.scan import Scan
from raypipe.features.asof.join import FramePart
from raypipe.features.asof.table import change_feed, schema_of
from raypipe.features.columns import RAW_TYPES, coercer, raw_type, unknown
from raypipe.features.held import check_held, collected_whole, most_rows
from raypipe.features.history.buckets import fill, groups_of
from raypipe.features.history.filled_rows import FilledPart, FilledRows
from raypipe.features.history.places import Places
from raypipe.features.history.spill import Spill
from raypipe.features.transforms.earlier import Earlier
from raypipe.features.transforms.numbers import check_numeric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.core.scan import ScanPart
    from raypipe.features.asof.table import Data
    from raypipe.features.transforms import Transform


SMALL = 1 << 20
"""Rows of scans that are filled in memory."""


def with_history(
    transforms: Sequence[Transform],
    rows: Data,
    events: Data | None = None,
    folder: str | None = None,
) -> pl.DataFrame | FilledRows:
    """Rows with the columns that the recipe's ``lag`` and ``window`` transforms read.

    See ``Recipe.with_history``.
    """
    asked = [one for one in transforms if isinstance(one, Earlier)]
    have = _schema(rows, "the rows")
    _check(asked, have, have if events is None else _schema(events, "the events"))
    if isinstance(rows, pl.DataFrame | pl.LazyFrame):
        frame = _frame(rows, list(have), "rows of a lazy frame")
        source = None if events is None else _events(asked, frame, events)
        return frame.with_columns(_columns(asked, frame, source))
    return _filled_rows(asked, rows, events, have, folder)


def _columns(
    asked: Sequence[Earlier], rows: pl.DataFrame, events: pl.DataFrame | None
) -> list[pl.Series]:
    found: dict[str, pl.Series] = {}
    for group in groups_of(asked):
        places = Places(rows, rows if events is None else events, group.by, group.time)
        found |= {one.name: one for asks in group.asked for one in places.columns(asks)}
    return [found[name] for one in asked for name in one.reads]


def _filled_rows(
    asked: Sequence[Earlier],
    rows: Scan,
    events: Data | None,
    have: Mapping[str, pl.DataType],
    folder: str | None,
) -> FilledRows:
    names = [name for one in asked for name in one.reads]
    schema = {**have, **dict.fromkeys(names, pl.Float64())}
    parts = list(rows.parts())
    theirs = None if events is None else _parts(asked, events)
    named = {
        "rows": rows.identity(),
        "events": events.identity() if isinstance(events, Scan) else None,
        "filled": content_hash([[one.kind, one.to_json()] for one in asked]),
    }
    held: list[ScanPart]
    if sum(part.rows for part in (*parts, *(theirs or ()))) <= SMALL:
        none = pl.DataFrame(schema=have)
        read = [part.read(list(have)) for part in parts]
        source = None if theirs is None else pl.concat([part.read() for part in theirs])
        whole = pl.concat([none, *read])
        whole = whole.with_columns(_columns(asked, whole, source))
        ends = np.cumsum([one.height for one in read]).tolist()
        cut = zip(ends, read, strict=True)
        held = [FramePart(whole.slice(end - one.height, one.height)) for end, one in cut]
    else:
        spill = Spill(folder)
        try:
            filled = fill(asked, parts, theirs, spill)
        except BaseException:  # an error that is kept must not keep the files
            spill.close()
            raise
        columns = tuple(schema)
        held = [FilledPart(part, at, filled, spill, columns) for at, part in enumerate(parts)]
    return FilledRows(schema, named, tuple(held))


def _parts(asked: Sequence[Earlier], events: Data) -> list[ScanPart]:
    """The events as parts, at least one."""
    columns = _read(asked)
    if isinstance(events, pl.DataFrame | pl.LazyFrame):
        frame = _frame(events, columns, "events of a lazy frame")
        return [FramePart(one) for one in frame.iter_slices(SMALL)] or [FramePart(frame)]
    none = pl.DataFrame(schema={name: events.schema[name] for name in columns})
    return [FramePart(none), *(_Narrow(part, tuple(columns)) for part in events.parts())]


@dataclass(frozen=True, slots=True)
class _Narrow:
    """A part of which only some columns are read."""

    part: ScanPart
    columns: tuple[str, ...]

    @property
    def rows(self) -> int:
        return self.part.rows

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        return self.part.read(list(self.columns if columns is None else columns))


def _events(asked: Sequence[Earlier], rows: pl.DataFrame, events: Data) -> pl.DataFrame:
    """The events in memory; of a scan those of keys that the rows have, read part by part.

    Raises:
        RecipeError: half of the memory does not hold them.
    """
    columns = _read(asked)
    if isinstance(events, pl.DataFrame | pl.LazyFrame):
        return _frame(events, columns, "events of a lazy frame")
    held = [pl.DataFrame(schema={name: events.schema[name] for name in columns})]
    most, count = most_rows(held[0].dtypes), 0
    keys = [rows.select(by).unique() for by in dict.fromkeys(one.by for one in asked)]
    for part in events.parts():
        frame = part.read(columns)
        wanted = pl.lit(value=False)
        for number, some in enumerate(keys):
            mark = f"\x00{number}"
            marked = some.with_columns(pl.lit(value=True).alias(mark))
            frame = frame.join(marked, on=some.columns, how="left", maintain_order="left")
            wanted = wanted | pl.col(mark).is_not_null()
        held.append(frame.filter(wanted).select(columns))
        count += held[-1].height
        check_held(count, most, "the events of these rows' keys", "Give fewer rows at once.")
    return pl.concat(held)


def _read(asked: Sequence[Earlier]) -> list[str]:
    return list(dict.fromkeys(n for one in asked for n in (*one.by, one.time, one.column)))


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
    frame = pl.DataFrame(columns)
    _check(asked, frame.schema, events.schema)
    made = pl.DataFrame(_columns(asked, frame, events))
    own = {name: made[name].to_list() for one in asked for name in one.reads}
    return [
        {name: own[name][at] if name in own else _field(row, name) for name in inputs}
        for at, row in enumerate(rows)
    ]


def _field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise unknown(name, map(str, row), "with_history")
    return row[name]


def _frame(data: pl.DataFrame | pl.LazyFrame, columns: Sequence[str], what: str) -> pl.DataFrame:
    if isinstance(data, pl.DataFrame):
        return data
    return collected_whole(data, columns, what)


def _schema(data: Any, who: str) -> dict[str, pl.DataType]:
    if change_feed(data) is not None:
        raise RecipeError(
            f"with_history reads {who} from a polars frame or a scan",
            type(data).__name__,
            "Give the table as it stood: Table.at().",
            who,
        )
    return schema_of(data, who)


def _check(
    asked: Sequence[Earlier],
    rows: Mapping[str, pl.DataType],
    events: Mapping[str, pl.DataType],
) -> None:
    for one in asked:
        for name in (*one.by, one.time):
            _there(name, rows, f"{one.kind}, of the rows,")
            _there(name, events, f"{one.kind}, of the events,")
            if rows[name] != events[name]:
                raise RecipeError(
                    f"{one.kind}: {name!r} is of another type in the events",
                    f"{rows[name]} and {events[name]}",
                    "Bring them to one type.",
                    name,
                )
        if rows[one.time] not in (pl.Datetime, pl.Date):
            raise RecipeError(
                f"{one.kind}: {one.time!r} is not a time",
                str(rows[one.time]),
                "Give a datetime.",
                one.time,
            )
        _there(one.column, events, f"{one.kind}, of the events,")
        check_numeric(one.kind, one.column, events[one.column])


def _there(name: str, schema: Mapping[str, pl.DataType], by: str) -> None:
    if name not in schema:
        raise unknown(name, schema, by)
