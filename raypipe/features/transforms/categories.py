"""What the transforms over categories share: which types, how counted, how written."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.features.transforms.base import check_type, tampered

if TYPE_CHECKING:
    from collections.abc import Sequence

Key = str | int | bool


def check_category(kind: str, column: str, dtype: pl.DataType) -> None:
    """Refuses a column that is not a string, an integer or a boolean.

    Raises:
        RecipeError: it is of another type.
    """
    fine = dtype == pl.String or dtype == pl.Boolean or dtype.is_integer()
    check_type(kind, column, dtype, fine, "a string, an integer or a boolean")


def coded(column: pl.Series) -> tuple[list[Key], npt.NDArray[np.int64]]:
    """The distinct values in sorted order, and for each row its place among them (no nulls)."""
    distinct = column.unique().sort()
    if column.dtype == pl.String:
        codes = column.cast(pl.Enum(distinct)).to_physical().to_numpy()
    else:
        codes = np.searchsorted(distinct.to_numpy(), column.to_numpy())
    return distinct.to_list(), codes.astype(np.int64)


def shown(key: Key) -> str:
    """A category as text: booleans are true and false."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def check_sorted(keys: Any, dtype: pl.DataType, kind: str, column: str) -> list[Key]:
    """Stored categories: of the column's type, sorted, each once.

    Raises:
        RecipeError: they are not.
    """
    want: type = str if dtype == pl.String else bool if dtype == pl.Boolean else int
    if not isinstance(keys, list) or not all(type(key) is want for key in keys):
        raise tampered(kind, f"its categories are not of type {want.__name__}", column)
    if want is int and not all(-(2**63) <= key < 2**63 for key in keys):
        raise tampered(kind, "a category is not a 64-bit integer", column)
    if want is str and not all(len(key) <= 10_000 for key in keys):
        raise tampered(kind, "a category is too long", column)
    if not _rising(keys):
        raise tampered(kind, "its categories are not sorted and distinct", column)
    return keys


def _rising(keys: Sequence[Any]) -> bool:
    return all(a < b for a, b in itertools.pairwise(keys))
