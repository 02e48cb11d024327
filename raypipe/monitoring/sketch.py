"""Counts of a window by the fixed bins of the training profile.

The bins are those of the profile and never change: the population stability index depends on them
(the same data gave 3 to 11 columns over 0.1 at 10 to 512 bins), so figures of different windows can
only be compared over the same bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from raypipe.core.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl


class ColumnProfile(Protocol):
    """What is read of a column's training profile (``raypipe.features.profile.ColumnProfile``)."""

    @property
    def name(self) -> str:
        """The column's name."""

    @property
    def kind(self) -> str:
        """``"numeric"`` or ``"categorical"``."""

    @property
    def edges(self) -> tuple[float, ...]:
        """Inner bin edges of a numeric column."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Known categories of a categorical column."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Training rows by code, nulls apart; the last of a categorical column is "other"."""

    @property
    def nulls(self) -> int:
        """Training rows without a value."""

    def codes(self, series: pl.Series, /) -> npt.NDArray[Any]:
        """The code of each value; a null gets ``len(counts)``."""


class Profile(Protocol):
    """What is read of a training profile (``raypipe.features.profile.Profile``)."""

    @property
    def columns(self) -> Mapping[str, ColumnProfile]:
        """Profiles by column name."""


@dataclass(frozen=True)
class Reference:
    """The training rows of one column by ordered code.

    Args:
        column: the column's profile.
        counts: training rows by ordered code; the last code is null.
        order: the place of each of the profile's codes in that order.
    """

    column: ColumnProfile
    counts: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]

    @classmethod
    def of(cls, column: ColumnProfile) -> Reference:
        """The reference of a profiled column: bins in order, or categories by name."""
        by_code = np.asarray([*column.counts, column.nulls], dtype=np.int64)
        sequence = list(range(len(by_code)))
        if column.kind == "categorical":
            names = column.categories
            sequence[: len(names)] = sorted(range(len(names)), key=names.__getitem__)
        order = np.empty(len(by_code), dtype=np.int64)
        order[sequence] = np.arange(len(by_code))
        return cls(column, by_code[sequence], order)

    @property
    def other(self) -> int | None:
        """The ordered code of categories that the profile does not list; None if numeric."""
        return len(self.counts) - 2 if self.column.kind == "categorical" else None

    def codes(self, frame: pl.DataFrame) -> npt.NDArray[np.int64]:
        """The ordered code of each row of a frame; a frame without a row needs no columns.

        Raises:
            SchemaError: the frame lacks the column.
        """
        name = self.column.name
        if frame.is_empty():
            return np.empty(0, dtype=np.int64)
        if name not in frame.columns:
            raise SchemaError(
                "a watched column is missing from the predictions",
                name,
                "Log the raw inputs with each prediction, or ignore the column.",
                name,
            )
        codes: npt.NDArray[np.int64] = self.order[self.column.codes(frame[name])]
        return codes

    def to_json(self) -> dict[str, Any]:
        """What the counts mean, as JSON values: the reference's identity."""
        column = self.column
        return {
            "name": column.name,
            "kind": column.kind,
            "edges": list(column.edges),
            "categories": list(column.categories),
            "counts": list(column.counts),
            "nulls": column.nulls,
        }


def counts_of(codes: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Rows by code."""
    return np.bincount(codes, minlength=size).astype(np.int64)
