"""The point-in-time join: for each row the last feature known at its time, never a later one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.columns import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.core.scan import Scan

Entities = TypeVar("Entities", pl.DataFrame, pl.LazyFrame)
_ROW = "#row"
_TIME = "#time"


def point_in_time(
    entities: pl.DataFrame | pl.LazyFrame | Scan,
    features: pl.DataFrame | pl.LazyFrame | Scan,
    *,
    on: str | Sequence[str],
    time: str,
    feature_time: str | None = None,
    tolerance: timedelta | None = None,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame | pl.LazyFrame:
    """Each entity row with the last feature row of its key at or before its time.

    Neither side need be sorted. Of several feature rows of one key at one time, the last in the
    table's order counts. A null key, a null time, or no feature row in reach gives null features.

    Args:
        entities: the rows to fill.
        features: rows of features with their key and time.
        on: the key: one column or several, there on both sides and of one type.
        time: the column of the entities that says when each row must know; a date or a datetime.
        feature_time: the column of the features that says since when each is known; ``time`` if
            not given.
        tolerance: how old a feature may be at most; any age if not given.
        columns: the feature columns to take; all but key and time if not given.

    Returns:
        The entities in their order with the feature columns added: a DataFrame for a DataFrame,
        else a LazyFrame.

    Raises:
        RecipeError: a column is missing, key or times are of different types, a feature column is
            also one of the entities, or the tolerance is negative.
    """
    keys = [on] if isinstance(on, str) else list(on)
    when = time if feature_time is None else feature_time
    left, right = entities.lazy(), features.lazy()
    have, give = left.collect_schema(), right.collect_schema()
    taken = [c for c in give if c not in {*keys, when}] if columns is None else list(columns)
    _check(have, give, keys, time, when, taken, tolerance)
    known = right.select(
        *keys, pl.col(when).alias(_TIME), *(pl.col(name) for name in taken)
    ).drop_nulls([*keys, _TIME])
    # Stable: of rows at one time the last in table order stays last, and join_asof takes the last.
    known = known.sort(_TIME, maintain_order=True)
    numbered = left.with_row_index(_ROW)
    asked = numbered.sort(time, maintain_order=True, nulls_last=True)
    joined = asked.join_asof(
        known,
        left_on=time,
        right_on=_TIME,
        by=keys,
        strategy="backward",
        tolerance=tolerance,
        coalesce=False,
        check_sortedness=False,
    )
    result = joined.sort(_ROW).select(*have, *taken)
    return result.collect() if isinstance(entities, pl.DataFrame) else result


def _check(
    have: pl.Schema,
    give: pl.Schema,
    keys: list[str],
    time: str,
    when: str,
    taken: list[str],
    tolerance: timedelta | None,
) -> None:
    if not keys:
        raise RecipeError("point_in_time needs a key", None, "Pass on=….", "on")
    for name in (*keys, time):
        if name not in have:
            raise unknown(name, have, "point_in_time, of the entities,")
    for name in (*keys, when, *taken):
        if name not in give:
            raise unknown(name, give, "point_in_time, of the features,")
    for mine, theirs in [*((key, key) for key in keys), (time, when)]:
        if have[mine] != give[theirs]:
            raise RecipeError(
                f"point_in_time: {mine!r} is of another type in the features",
                f"{have[mine]} and {give[theirs]}",
                "Bring them to one type.",
                mine,
            )
    if not (have[time] == pl.Datetime or have[time] == pl.Date):
        raise RecipeError(
            f"point_in_time: {time!r} is not a time", str(have[time]), "Give a datetime.", time
        )
    if len(set(taken)) != len(taken):
        raise RecipeError(
            "point_in_time: a column is asked for twice", repr(taken), None, "columns"
        )
    for name in taken:
        if name in have:
            raise RecipeError(
                f"point_in_time: both sides have a column {name!r}",
                None,
                "Rename one, or choose others with columns=.",
                name,
            )
    if tolerance is not None and tolerance < timedelta(0):
        raise RecipeError("the tolerance is negative", repr(tolerance), None, "tolerance")
