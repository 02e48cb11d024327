"""FeatureTable: features with their key and times, and what is checked of them before any work."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.scan import Scan
from raypipe.features.asof.search import Shape
from raypipe.features.columns import unknown
from raypipe.features.held import collected_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND, AT = "_change_type", "_commit_timestamp"
"""Columns of a change feed, as the Delta protocol names them."""

KNOWN, UNTIL = "#known", "#until"
_MICROSECONDS = {"ms": (1, 1000), "us": (1, 1), "ns": (1000, 1)}


@runtime_checkable
class ChangeFeed(Protocol):
    """All changes of a table since some version, as ``Table.changes`` gives them."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The table's columns, and those of the feed."""

    @property
    def since(self) -> int:
        """The version before the first change."""

    def lazy(self) -> pl.LazyFrame:
        """The changes, commit by commit."""


Data = pl.DataFrame | pl.LazyFrame | Scan
Features = pl.DataFrame | pl.LazyFrame | Scan | ChangeFeed


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """One feature table of ``point_in_time``, where its frame alone does not say enough.

    Args:
        data: a polars frame, a scan (such as ``Table.at()``), or all changes of a table
            (``Table.changes(since=-1)``): then a row is known from its commit on, until the commit
            that deletes or replaces it.
        time: the column of event times: of when a row is; that of the entities' time if not given.
        on: the key columns, in the order of the entities' key; named alike if not given.
        columns: the feature columns to take; all but key and times if not given.
        tolerance: how old an event may be at most; that of ``point_in_time`` if not given.
        prefix: is put before the features' names.
        known: the column of times since when each row was known, such as when it was ingested;
            rows with a null there never were.
        until: the column of times from when on each row was no longer known, null for never.
    """

    data: Features = field(repr=False)
    time: str | None = None
    on: str | Sequence[str] | None = None
    columns: Sequence[str] | None = None
    tolerance: timedelta | None = None
    prefix: str = ""
    known: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A feature table, checked against the entities.

    Attributes:
        data: what to read.
        shape: what the search reads of it.
        features: the type and the column of each feature that is given, by its new name.
        tolerance: how old an event may be at most, in the unit of the times.
    """

    data: Features = field(repr=False)
    shape: Shape
    features: Mapping[str, tuple[pl.DataType, str]]
    tolerance: int | None


def change_feed(data: Any) -> ChangeFeed | None:
    """The data, if it is a change feed."""
    plain = isinstance(data, pl.DataFrame | pl.LazyFrame | Scan)
    return data if not plain and isinstance(data, ChangeFeed) else None


def schema_of(data: Any, who: str) -> dict[str, pl.DataType]:
    """Columns and types without reading rows.

    Raises:
        RecipeError: it is nothing that can be joined.
    """
    if isinstance(data, pl.DataFrame | pl.LazyFrame):
        return dict(data.lazy().collect_schema())
    if isinstance(data, Scan) or change_feed(data) is not None:
        return dict(data.schema)
    raise RecipeError(
        f"point_in_time reads {who} from a polars frame or a scan",
        type(data).__name__,
        "Give a frame, Table.at() or Table.changes(since=-1).",
        who,
    )


def checked(
    table: FeatureTable,
    have: Mapping[str, pl.DataType],
    keys: Sequence[str],
    time: str,
    tolerance: timedelta | None,
) -> Side:
    """A feature table against the entities' columns.

    Raises:
        RecipeError: a column is missing or of another type, or two columns have one name.
    """
    give = schema_of(table.data, "the features")
    feed = change_feed(table.data)
    if feed is not None:
        give, table = _of_changes(table, feed, give)
    theirs = list(keys) if table.on is None else _names(table.on)
    if len(theirs) != len(keys) or len(set(theirs)) < len(theirs):
        raise RecipeError(
            "a feature table needs a key column of its own for each of the entities",
            f"{theirs} for {list(keys)}",
            None,
            "on",
        )
    when = time if table.time is None else table.time
    told = [when, *(n for n in (table.known, table.until) if n is not None)]
    taken = [n for n in give if n not in {*theirs, *told}]
    taken = taken if table.columns is None else _names(table.columns)
    for name in (*theirs, *told, *taken):
        if name not in give:
            raise unknown(name, give, "point_in_time, of the features,")
    pairs = [*zip(keys, theirs, strict=True), *((time, name) for name in told)]
    for mine, other in pairs:
        if have[mine] != give[other]:
            raise RecipeError(
                f"point_in_time: {mine!r} and {other!r} of the features are of different types",
                f"{have[mine]} and {give[other]}",
                "Bring them to one type.",
                mine,
            )
    if len(set(taken)) != len(taken):
        raise RecipeError(
            "point_in_time: a column is asked for twice", repr(taken), None, "columns"
        )
    least = tolerance if table.tolerance is None else table.tolerance
    return Side(
        table.data,
        Shape(tuple(theirs), when, table.known, table.until),
        {table.prefix + name: (give[name], name) for name in taken},
        None if least is None else units(least, have[time]),
    )


def _of_changes(
    table: FeatureTable, feed: ChangeFeed, give: Mapping[str, pl.DataType]
) -> tuple[dict[str, pl.DataType], FeatureTable]:
    if feed.since != -1:
        raise RecipeError(
            "what was known when needs all changes of the table",
            f"changes since version {feed.since}",
            "Give Table.changes(since=-1).",
            "since",
        )
    if table.known is not None or table.until is not None:
        raise RecipeError(
            "a change feed itself says when a row was known", None, "Leave out known and until.",
            "known",
        )  # fmt: skip
    own = {name: dtype for name, dtype in give.items() if name not in _FEED}
    given = FeatureTable(
        table.data, table.time, table.on, table.columns, table.tolerance, table.prefix, KNOWN, UNTIL
    )
    return {**own, KNOWN: give[AT], UNTIL: give[AT]}, given


_FEED = (KIND, "_commit_version", AT)


def history(feed: ChangeFeed, columns: Sequence[str]) -> pl.DataFrame:
    """The rows that a table ever had, each with the time of its commit and that of its end.

    A row that was deleted is that of the same values which stood longest: rows of the same values
    cannot be told apart, so any pairing gives the same joins. Read into memory.

    Args:
        feed: all changes of the table.
        columns: the columns of the table that are wanted.
    """
    wanted = [name for name in columns if name not in (KNOWN, UNTIL)]
    act = "Give the table with columns known= and until= of its own, which is read part by part."
    rows = collected_whole(feed.lazy(), [*wanted, KIND, AT], "changes of a table", act)
    nth = "#nth"
    end = pl.col(KIND).is_in(["delete", "update_preimage"])
    rows = rows.with_columns(end.alias("#end")).with_columns(
        pl.int_range(pl.len()).over([*wanted, "#end"]).alias(nth)
    )
    ends = rows.filter("#end").select(*wanted, nth, pl.col(AT).alias(UNTIL))
    return (
        rows.filter(~pl.col("#end"))
        .join(ends, on=[*wanted, nth], how="left", nulls_equal=True, maintain_order="left")
        .select(*wanted, pl.col(AT).alias(KNOWN), UNTIL)
    )


def _names(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def units(duration: object, dtype: pl.DataType) -> int:
    """A duration in the unit of a column of times, rounded down.

    Raises:
        RecipeError: it is negative, or no duration.
    """
    if not isinstance(duration, timedelta):
        act = "Give a datetime.timedelta."
        raise RecipeError("the tolerance is no duration", repr(duration), act, "tolerance")
    if duration < timedelta(0):
        raise RecipeError("the tolerance is negative", repr(duration), None, "tolerance")
    if not isinstance(dtype, pl.Datetime):
        return duration.days
    times, over = _MICROSECONDS[dtype.time_unit]
    return duration // timedelta(microseconds=1) * times // over
