"""The point-in-time join: for each row the last feature known at its time, never a later one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.asof.join import MOST_ASKED, Source, join
from raypipe.features.asof.table import FeatureTable, checked, schema_of
from raypipe.features.columns import unknown
from raypipe.features.held import collected_whole
from raypipe.features.pieces import lazy_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta

    from raypipe.core.scan import Scan
    from raypipe.engine.parts import RunOn
    from raypipe.features.asof.table import Data, Features, Side


@overload
def point_in_time(
    entities: pl.DataFrame,
    feature_tables: Features | FeatureTable | Sequence[Features | FeatureTable],
    *,
    on: str | Sequence[str],
    time: str,
    tolerance: timedelta | None = None,
    feature_time: str | None = None,
    columns: Sequence[str] | None = None,
    run_on: RunOn = "auto",
) -> pl.DataFrame: ...


@overload
def point_in_time(
    entities: pl.LazyFrame | Scan,
    feature_tables: Features | FeatureTable | Sequence[Features | FeatureTable],
    *,
    on: str | Sequence[str],
    time: str,
    tolerance: timedelta | None = None,
    feature_time: str | None = None,
    columns: Sequence[str] | None = None,
    run_on: RunOn = "auto",
) -> pl.LazyFrame: ...


def point_in_time(
    entities: Data,
    feature_tables: Features | FeatureTable | Sequence[Features | FeatureTable],
    *,
    on: str | Sequence[str],
    time: str,
    tolerance: timedelta | None = None,
    feature_time: str | None = None,
    columns: Sequence[str] | None = None,
    run_on: RunOn = "auto",
) -> pl.DataFrame | pl.LazyFrame:
    """Each entity row with the last feature row of its key at or before its time, of every table.

    No side need be sorted. Of several rows of one key and event time the one known last counts,
    and of those the last in the table's order. A null in a key or a time, and no feature row in
    reach, give null features. A row that was known only after its event (``known`` of a
    ``FeatureTable``, or a change feed) counts for rows from then on, and not after ``until``.

    A table that is a scan is read part by part, key and times first, then the features of the rows
    that were found; what one key has may lie in any number of parts. Memory holds the entities
    (of a scan at most 16,777,216 rows at once and a part more), some 24 bytes for each of them and
    table, a part for each core, and the result. A lazy frame, a change feed and a scan of at most
    1,048,576 rows are read into memory; of the first two more rows than half of it holds are an
    error.

    Args:
        entities: the rows to fill.
        feature_tables: one table or several: a frame, a scan such as ``Table.at()``, all changes
            of a table (``Table.changes(since=-1)``), or one of these as a ``FeatureTable``.
        on: the key: one column or several, of the same types on both sides.
        time: the column of the entities that says when each row must know; a date or a datetime.
        tolerance: how old an event may be at most; any age if not given.
        feature_time: the column of event times in tables that name none; ``time`` if not given.
        columns: the feature columns of the table, where there is one that names none.
        run_on: ``"local"`` reads the parts in this process, ``"ray"`` on the cluster, ``"auto"``
            where their sizes make it faster; which it was and why is logged.

    Returns:
        The entities in their order with the feature columns added: a DataFrame for a DataFrame,
        else a LazyFrame, which joins when it is collected, and only the features that are used.

    Raises:
        RecipeError: a column is missing, key or times are of different types, two columns have one
            name, the tolerance is negative, a change feed does not begin with the table, or a lazy
            frame or a change feed does not fit in half of the memory.
        ConfigError: ``run_on`` is none of the three.
    """
    keys = [on] if isinstance(on, str) else list(on)
    have = schema_of(entities, "the entities")
    _check_entities(have, keys, time)
    tables = _tables(feature_tables, feature_time, columns)
    sides = [checked(table, have, keys, time, tolerance) for table in tables]
    _check_names(have, sides)
    work = _Join(keys, time, sides, have, run_on)
    if isinstance(entities, pl.DataFrame):
        return pl.concat(work.pieces(entities, None, None))
    return work.lazy(entities)


@dataclass(frozen=True, slots=True)
class _Join:
    keys: list[str]
    time: str
    sides: list[Side]
    have: Mapping[str, pl.DataType]
    run_on: RunOn

    @property
    def schema(self) -> dict[str, pl.DataType]:
        added = {n: dtype for side in self.sides for n, (dtype, _) in side.features.items()}
        return {**self.have, **added}

    def pieces(
        self, entities: Data, columns: Sequence[str] | None, limit: int | None
    ) -> Iterator[pl.DataFrame]:
        """The joined rows, slice by slice; each table is read once a slice."""
        wanted = list(self.schema) if columns is None else list(columns)
        features = [name for name in wanted if name not in self.have]
        needed = [name for name in self.have if name in {*wanted, *self.keys, self.time}]
        used = [side for side in self.sides if set(side.features) & set(features)]
        sources = [Source.of(side, small=self.run_on != "ray") for side in used]
        for rows in _slices(entities, needed):
            piece = rows if limit is None else rows.head(limit)
            made = join(piece, sources, self.keys, self.time, features, self.run_on)
            yield pl.concat([piece, made], how="horizontal").select(wanted)
            if limit is not None:
                limit -= piece.height
                if limit <= 0:
                    return

    def lazy(self, entities: Data) -> pl.LazyFrame:
        return lazy_pieces(partial(self.pieces, entities), self.schema)


def _slices(entities: Data, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The rows in slices of bounded size, at least one."""
    if isinstance(entities, pl.DataFrame):
        yield from (
            entities.select(columns).iter_slices(MOST_ASKED)
            if entities.height
            else [entities.select(columns)]
        )
        return
    if isinstance(entities, pl.LazyFrame):
        frame = collected_whole(entities, columns, "entities of a lazy frame")
        yield from _slices(frame, columns)
        return
    held: list[pl.DataFrame] = [pl.DataFrame(schema={n: entities.schema[n] for n in columns})]
    given = False
    for part in entities.parts():
        if len(held) > 1 and sum(one.height for one in held) + part.rows > MOST_ASKED:
            yield pl.concat(held)
            held, given = held[:1], True
        held.append(part.read(columns))
    if len(held) > 1 or not given:
        yield pl.concat(held)


def _tables(
    given: Any, feature_time: str | None, columns: Sequence[str] | None
) -> list[FeatureTable]:
    several = list(given) if isinstance(given, list | tuple) else [given]
    if not several:
        raise RecipeError("point_in_time needs a feature table", None, None, "feature_tables")
    tables = [
        one if isinstance(one, FeatureTable) else FeatureTable(one, time=feature_time)
        for one in several
    ]
    if columns is not None:
        if len(tables) > 1:
            raise RecipeError(
                "columns are those of one table", f"{len(tables)} tables",
                "Give each as FeatureTable(…, columns=…).", "columns",
            )  # fmt: skip
        if tables[0].columns is None:
            tables = [replace(tables[0], columns=columns)]
    return [one if one.time else replace(one, time=feature_time) for one in tables]


def _check_entities(have: Mapping[str, pl.DataType], keys: Sequence[str], time: str) -> None:
    if not keys:
        raise RecipeError("point_in_time needs a key", None, "Pass on=….", "on")
    for name in (*keys, time):
        if name not in have:
            raise unknown(name, have, "point_in_time, of the entities,")
    if not (have[time] == pl.Datetime or have[time] == pl.Date):
        raise RecipeError(
            f"point_in_time: {time!r} is not a time", str(have[time]), "Give a datetime.", time
        )


def _check_names(have: Mapping[str, pl.DataType], sides: Sequence[Side]) -> None:
    seen = dict.fromkeys(have, "the entities")
    for number, side in enumerate(sides, 1):
        for name in side.features:
            if name in seen:
                raise RecipeError(
                    f"point_in_time: two sides have a column {name!r}",
                    f"feature table {number} and {seen[name]}",
                    "Rename one, choose others with columns=, or give FeatureTable(prefix=…).",
                    name,
                )
            seen[name] = f"feature table {number}"
