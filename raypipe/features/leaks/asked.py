"""What a search for leaks is asked for, checked before any row is read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.asof.table import FeatureTable
from raypipe.features.columns import unknown
from raypipe.features.recipe import Recipe

_LEAST_ROWS = 8
_BOUNDS = {"too_good": (0.5, 1.0), "false_alarm": (0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Question:
    """The columns that a search was told of.

    Attributes:
        keys: the key; empty where none was given.
        time: when each row must know.
        times_of: for columns the column that says since when their values are known.
        tables: feature tables that the rows were joined with.
    """

    keys: list[str]
    time: str | None
    times_of: dict[str, str]
    tables: list[FeatureTable]


def question(
    schema: Mapping[str, pl.DataType], *, on: Any, time: Any, times_of: Any, known: Any
) -> Question:
    """The columns and tables, checked against the columns that there are.

    Raises:
        RecipeError: one is of a wrong type or not there, a time is no time, or tables or times
            come without what they are judged by.
    """
    keys = _keys(on)
    if time is not None and not isinstance(time, str):
        raise RecipeError("time is the name of a column", _shown(time), "Give a string.", "time")
    told = {} if times_of is None else times_of
    if not isinstance(told, Mapping) or not _names([*told, *told.values()]):
        raise RecipeError(
            "times_of names a column of times for a column", _shown(times_of),
            "Give {column: column of times}.", "times_of",
        )  # fmt: skip
    tables = _tables(known)
    for name in [*keys, *([] if time is None else [time]), *told, *told.values()]:
        if name not in schema:
            raise unknown(name, schema, "find_leaks")
    if (tables or told) and (time is None or (tables and not keys)):
        raise RecipeError(
            "find_leaks needs to know when each row must know, and by which key",
            None, "Pass time= and on=.", "time" if time is None else "on",
        )  # fmt: skip
    if time is not None and not (schema[time] == pl.Datetime or schema[time] == pl.Date):
        raise RecipeError(
            f"find_leaks: {time!r} is not a time", str(schema[time]), "Give a datetime.", time
        )
    return Question(keys, time, dict(told), tables)


def check_settings(
    label: Any, recipe: Any, *, too_good: Any, false_alarm: Any, most_rows: Any
) -> None:
    """Refuses settings of a wrong type or out of their bounds.

    Raises:
        RecipeError: there is such a setting; ``field`` is its name.
    """
    if not isinstance(label, str):
        raise RecipeError("label is the name of a column", _shown(label), "Give a string.", "label")
    if recipe is not None and not isinstance(recipe, Recipe):
        raise RecipeError(
            "recipe is a Recipe", type(recipe).__name__, "Give it before it is fitted.", "recipe"
        )
    for name, value in (("too_good", too_good), ("false_alarm", false_alarm)):
        low, high = _BOUNDS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low < value < high:
            raise RecipeError(
                f"{name} is a share between {low} and {high}", _shown(value), None, name
            )
    whole = isinstance(most_rows, int) and not isinstance(most_rows, bool)
    if not whole or most_rows < _LEAST_ROWS:
        raise RecipeError(
            "most_rows is a whole number of rows", _shown(most_rows),
            f"Give {_LEAST_ROWS} or more.", "most_rows",
        )  # fmt: skip


def _keys(on: Any) -> list[str]:
    if on is None:
        return []
    keys = [on] if isinstance(on, str) else list(on) if isinstance(on, Sequence) else []
    if not keys or not _names(keys) or len(set(keys)) < len(keys):
        raise RecipeError(
            "on names the columns of a key, each once", _shown(on),
            "Give a string or several, or leave it out.", "on",
        )  # fmt: skip
    return keys


def _tables(known: Any) -> list[FeatureTable]:
    tables = [known] if isinstance(known, FeatureTable) else known
    several = isinstance(tables, Sequence) and not isinstance(tables, str)
    if not several or not all(isinstance(table, FeatureTable) for table in tables):
        raise RecipeError(
            "known holds feature tables", type(known).__name__, "Give FeatureTable(…).", "known"
        )
    return list(tables)


def _names(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _shown(value: Any) -> str:
    return repr(value)[:100]
