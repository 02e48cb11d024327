"""find_leaks: names the columns that a model should not see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.asof.table import FeatureTable, schema_of
from raypipe.features.columns import raw_type, unknown
from raypipe.features.leaks.ahead import chance_of, looks_ahead
from raypipe.features.leaks.asked import check_settings, question
from raypipe.features.leaks.report import Leak, LeakReport
from raypipe.features.leaks.validity import pairs_needed, validity
from raypipe.features.point_in_time import point_in_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from raypipe.core.scan import Scan
    from raypipe.features.recipe import Recipe

    Floats = NDArray[np.float64]

_CLASSES = 10
"""A label of at most so many distinct values is one of classes."""


def find_leaks(
    data: pl.DataFrame | pl.LazyFrame | Scan,
    label: str,
    *,
    recipe: Recipe | None = None,
    time: str | None = None,
    on: str | Sequence[str] | None = None,
    times_of: Mapping[str, str] | None = None,
    known: FeatureTable | Sequence[FeatureTable] = (),
    too_good: float = 0.95,
    false_alarm: float = 0.01,
    most_rows: int = 100_000,
) -> LeakReport:
    """Looks for columns that could not have been known, or that tell the label too well.

    - ``later``: the time that ``times_of`` names for a column is after the row's ``time`` (this is
      certain), or a column of times that is itself a feature is (to be looked at: a due date may
      lie ahead, an arrival may not).
    - ``not known``: the value is not the one that ``point_in_time`` gives from the tables in
      ``known``. With a table's changes these are values of later versions, too. Certain.
    - ``copy``: the column is the label in every row, or its opposite. Certain.
    - ``too good``: alone it puts rows of different labels in the right order more often than
      ``too_good`` (for two classes this is the ROC AUC; of several each is held against the
      others). A quarter of the rows teaches it, the others judge, and it is named only when the
      bound that holds but for ``false_alarm`` is above. For rows that do not depend on each other,
      the chance that any column is named that is no better than ``too_good`` is at most
      ``false_alarm``, for all columns together.
    - ``ahead``: with ``time`` and ``on``, it goes with the label of its key's next row more than
      with that of its own row and the one before, in so many of 24 stretches of time as chance
      gives with at most ``false_alarm``, were it even in each. To be looked at: what is rightly
      known ahead, such as the hour of the day, may do so.

    Args:
        data: rows with their features and label; of more than ``most_rows``, evenly spaced ones.
        label: the column to be predicted; with a recipe it may be derived. Its nulls are left out.
        recipe: judges the raw columns that its features read; all columns without it.
        time: the column that says when each row must know; dates or datetimes.
        on: the key of a row: who or what it is about.
        times_of: for columns the column that says since when their values are known.
        known: feature tables that ``data`` was joined with; needs ``time`` and ``on``.
        too_good: the share from which on a column is too good to be true; between 0.5 and 1.
        false_alarm: chance of naming any column that is not, by ``too good`` and by ``ahead`` each.
        most_rows: rows that are judged; at least 8.

    Raises:
        RecipeError: a column is missing or of a wrong type, the label has one value only, or a
            setting is of a wrong type or out of its bounds.
    """
    check_settings(label, recipe, too_good=too_good, false_alarm=false_alarm, most_rows=most_rows)
    schema = schema_of(data, "the rows")
    asked = question(schema, on=on, time=time, times_of=times_of, known=known)
    keys = asked.keys
    rows = _sample(data, most_rows)
    columns, target = _judged(rows, label, recipe, {*keys, time, label})
    rows = rows.filter(target.is_not_null())
    look = _Look(rows, target.drop_nulls(), columns, false_alarm, too_good)
    leaks = list(look.copies())
    if time is not None:
        leaks += look.later(time, asked.times_of)
        leaks += [one for table in asked.tables for one in look.not_known(table, keys, time)]
    sure = {one.column for one in leaks if one.kind == "copy"}
    leaks += [one for one in look.too_good_ones() if one.column not in sure]
    if time is not None and keys:
        leaks += look.ahead(keys, time)
    leaks.sort(key=lambda one: not one.certain)
    return LeakReport(tuple(leaks), tuple(columns), rows.height, false_alarm, look.notes())


@dataclass(frozen=True, slots=True)
class _Look:
    rows: pl.DataFrame
    target: pl.Series
    columns: list[str]
    false_alarm: float
    limit: float

    def classes(self) -> list[Any]:
        """The distinct labels, if they are few."""
        distinct = self.target.unique().sort()
        few = len(distinct) <= _CLASSES or not self.target.dtype.is_numeric()
        return distinct.to_list() if few else []

    def labels(self) -> Iterator[tuple[str, Floats]]:
        """The labels to tell, each as numbers and with what to say of it."""
        classes = self.classes()
        if len(classes) > 2:
            for one in classes:
                yield f" for {one!r}", (self.target == one).to_numpy().astype(np.float64)
        elif classes:
            yield "", (self.target == classes[-1]).to_numpy().astype(np.float64)
        else:
            yield "", self.target.cast(pl.Float64).to_numpy()

    @property
    def chance(self) -> float:
        """What each test of many may err by."""
        return self.false_alarm / (max(1, len(self.columns)) * max(1, len(list(self.labels()))))

    def copies(self) -> Iterator[Leak]:
        """Columns that are the label or its opposite."""
        numbers = self.target.dtype.is_numeric() or self.target.dtype == pl.Boolean
        for name in self.columns:
            column = self.rows[name]
            alike = column.dtype.is_numeric() or column.dtype == pl.Boolean
            if alike != numbers or (not alike and column.dtype != self.target.dtype):
                continue
            mine, theirs = column, self.target
            if numbers:
                mine, theirs = column.cast(pl.Float64), self.target.cast(pl.Float64)
            same = bool((mine == theirs).fill_null(value=False).all())
            other = numbers and bool((mine == -theirs).fill_null(value=False).all())
            other |= numbers and bool((mine == 1 - theirs).fill_null(value=False).all())
            if same or other:
                what = "the label" if same else "the label's opposite"
                count = self.rows.height
                told = f"{name!r} is {what} in all {count:,} rows"
                yield Leak(name, "copy", True, count, count, 1.0, 1.0, told)

    def later(self, time: str, times_of: Mapping[str, str]) -> Iterator[Leak]:
        """Columns whose times are after the row's."""
        asked = [(name, of, True) for name, of in times_of.items()]
        asked += [(name, name, False) for name in self.columns if name not in times_of]
        dtype = self.rows.schema[time]
        for name, of, certain in asked:
            theirs = self.rows.schema[of]
            if theirs != dtype:
                if certain:
                    raise RecipeError(
                        f"{of!r} and {time!r} are of different types",
                        f"{theirs} and {dtype}",
                        "Bring them to one type.",
                        of,
                    )
                continue
            late = int((self.rows[of] > self.rows[time]).sum())
            if late:
                share = late / self.rows.height
                of_what = "is" if of == name else f"is of {of!r}, which is"
                told = f"{name!r} {of_what} after {time!r} in {late:,} rows ({share:.1%})"
                yield Leak(name, "later", certain, late, self.rows.height, share, None, told)

    def not_known(self, table: FeatureTable, keys: list[str], time: str) -> Iterator[Leak]:
        """Columns of a table that hold what was not known."""
        asked = self.rows.select(list(dict.fromkeys([*keys, time])))
        joined = point_in_time(asked, table, on=keys, time=time)
        for name in joined.columns[asked.width :]:
            if name not in self.rows.columns:
                continue
            mine, theirs = self.rows[name], joined[name]
            wrong = int((mine.is_not_null() & mine.ne_missing(theirs)).sum())
            if wrong:
                share = wrong / self.rows.height
                told = f"{name!r} is not what was known at {time!r} in {wrong:,} rows ({share:.1%})"
                yield Leak(name, "not known", True, wrong, self.rows.height, share, None, told)

    def too_good_ones(self) -> Iterator[Leak]:
        """Columns that tell the label too well."""
        for name in self.columns:
            for which, label in self.labels():
                found = validity(self.rows[name], label, self.chance)
                if found is None or found.bound <= self.limit:
                    continue
                told = (
                    f"{name!r} alone puts {found.value:.1%} of pairs in the order of the label"
                    f"{which}, surely over {found.bound:.1%}"
                )
                yield Leak(
                    name, "too good", False, found.rows, self.rows.height,
                    found.value, found.bound, told,
                )  # fmt: skip
                break

    def ahead(self, keys: list[str], time: str) -> Iterator[Leak]:
        """Columns that go with the next label."""
        _, label = next(self.labels())
        order = self.rows.select(*keys, time).with_row_index("#row").sort(*keys, time, "#row")
        y = pl.Series("#y", label)[order["#row"]]
        near = order.with_columns(y).with_columns(
            pl.col("#y").shift(1).over(keys).alias("#before"),
            pl.col("#y").shift(-1).over(keys).alias("#after"),
        )
        near = near.sort(time, "#row")
        at = near["#row"]
        now, before, after = (near[n].cast(pl.Float64).fill_null(math.nan).to_numpy()
                              for n in ("#y", "#before", "#after"))  # fmt: skip
        for name in self.columns:
            column = self.rows[name]
            if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
                continue
            value = column.cast(pl.Float64)[at].fill_null(math.nan).to_numpy()
            over, blocks, more = looks_ahead(value, now, before, after)
            if over and chance_of(over, blocks) <= self.false_alarm / len(self.columns):
                told = (
                    f"{name!r} goes with the next label of its key more than with its own, in "
                    f"{over} of {blocks} stretches of time (by {more:.2f} of correlation)"
                )
                yield Leak(name, "ahead", False, over, blocks, more, None, told)

    def notes(self) -> tuple[str, ...]:
        """What could not be judged."""
        found = []
        need = pairs_needed(self.limit, self.chance)
        for which, label in self.labels():
            distinct, counts = np.unique(label, return_counts=True)
            have = int(counts.min() if len(distinct) == 2 else len(label) / 2) * 3 // 4
            if have < need:
                found.append(
                    f"too few rows to tell whether a column is too good{which}: {have} of the "
                    f"rarer kind judge, {need} are needed"
                )
        return tuple(found)


def _sample(data: pl.DataFrame | pl.LazyFrame | Scan, most: int) -> pl.DataFrame:
    """Evenly spaced rows, so many at most."""
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if isinstance(data, pl.DataFrame):
        return data.gather_every(max(1, -(-data.height // most)))
    parts = data.parts()
    step = max(1, -(-sum(part.rows for part in parts) // most))
    none = pl.DataFrame(schema=dict(data.schema))
    return pl.concat([none, *(part.read(list(data.schema)).gather_every(step) for part in parts)])


def _judged(
    rows: pl.DataFrame, label: str, recipe: Recipe | None, apart: set[str | None]
) -> tuple[list[str], pl.Series]:
    """The columns to judge, and the label."""
    if recipe is not None:
        fitted = recipe.fit(rows, label)
        target = fitted.labels(rows).fill_nan(None)
        return [name for name in fitted.inputs if name != label], target
    if label not in rows.columns:
        raise unknown(label, rows.columns, "find_leaks")
    target = rows[label].fill_nan(None) if rows.schema[label].is_float() else rows[label]
    raw_type(label, target.dtype)  # refuses what no label can be
    if target.drop_nulls().n_unique() < 2:
        raise RecipeError(f"the label {label!r} is null or the same everywhere", None, None, label)
    return [name for name in rows.columns if name not in apart and _is_flat(rows[name])], target


def _is_flat(column: pl.Series) -> bool:
    return not column.dtype.is_nested() and column.dtype not in (pl.Binary, pl.Object, pl.Null)
