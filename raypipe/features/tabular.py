"""What scikit-learn's users hold (arrays, pandas and polars frames) as a polars frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from raypipe.core.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Tabular:
    """Rows as a frame.

    Args:
        frame: the rows; columns without names are called x0, x1 and so on.
        named: whether the columns had names.
        index: the index of a pandas frame.
    """

    frame: pl.DataFrame
    named: bool
    index: Any = None


def tabular(data: Any) -> Tabular:
    """The rows in a pandas or polars frame, or in anything that is a 2-D array.

    Raises:
        RecipeError: it is of another shape, holds no row or column, is sparse or complex, names a
            column twice or not by a text, or a column holds what polars cannot.
    """
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if isinstance(data, pl.DataFrame):
        _check_shape(data.shape)
        return Tabular(data, True)
    if type(data).__module__.split(".")[0] == "pandas" and hasattr(data, "iloc"):
        return _of_pandas(data)
    if "scipy.sparse" in type(data).__module__:
        raise RecipeError(
            "a recipe cannot take a sparse matrix", type(data).__name__, "Use toarray().", "X"
        )
    values = np.asarray(data)
    if values.dtype.kind == "c":
        raise RecipeError("Complex data not supported", str(values.dtype), "Give numbers.", "X")
    _check_shape(values.shape)
    names = [f"x{number}" for number in range(values.shape[1])]
    columns = [_column(name, values[:, at]) for at, name in enumerate(names)]
    return Tabular(pl.DataFrame(columns), False)


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        hint = "Reshape your data: array.reshape(-1, 1) for one column, (1, -1) for one row."
        raise RecipeError("Expected 2D array", f"{len(shape)}D array instead", hint, "X")
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if not count:
            raise RecipeError(
                f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required",
                None,
                "Give some.",
                "X",
            )


def _of_pandas(data: Any) -> Tabular:
    if getattr(data, "ndim", 0) != 2:
        _check_shape(np.shape(data))
    _check_shape(data.shape)
    names = list(data.columns)
    texts = [isinstance(name, str) for name in names]
    if any(texts) and not all(texts):
        raise RecipeError("some columns are not named by a text", repr(names)[:200], None, "X")
    if len(set(names)) != len(names):
        raise RecipeError("a column's name stands twice", repr(names)[:200], "Rename one.", "X")
    titles = names if all(texts) else [f"x{number}" for number in range(len(names))]
    columns = [_column(title, data.iloc[:, at]) for at, title in enumerate(titles)]
    return Tabular(pl.DataFrame(columns), all(texts), data.index)


def _column(name: str, values: Any) -> pl.Series:
    try:
        if isinstance(values, np.ndarray):
            given = values.tolist() if values.dtype == object else np.ascontiguousarray(values)
            return pl.Series(name, given, strict=True)
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as failure:
        raise RecipeError(
            f"column {name!r} holds values that are not of one type",
            str(failure)[:200],
            "Give numbers, texts, booleans, dates or datetimes.",
            name,
        ) from failure


def target(values: Any, rows: int) -> pl.Series:
    """The label of each row as a column: numbers, booleans, or two classes as 0 and 1.

    Args:
        values: anything that is a 1-D array (or one column).
        rows: how many there have to be.

    Raises:
        RecipeError: it is of another length or shape, or holds texts of more than two classes.
    """
    found = np.asarray(values)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.shape != (rows,):
        raise RecipeError(
            "y is not one label for each row", f"shape {found.shape}", f"Give {rows} labels.", "y"
        )
    if found.dtype.kind in "biuf":
        return pl.Series("y", np.ascontiguousarray(found))
    column = _column("y", found.astype(object))
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column
    classes = column.drop_nulls().unique().sort()
    if column.dtype != pl.String or len(classes) != 2:
        raise RecipeError(
            "y is neither of numbers nor of two classes",
            f"{column.dtype} of {len(classes)} classes",
            "Give numbers; a transform such as target_encode learns from them.",
            "y",
        )
    return pl.Series("y", column == classes[1])
