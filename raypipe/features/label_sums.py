"""Rows and labels below any value of a numeric column, from parts that are merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.features.part_rows import sketch_of
from raypipe.features.quantiles import EXACT, QuantileSketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from raypipe.features.part_rows import Labels

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]


@dataclass(slots=True)
class LabelSums:
    """How labels are spread over a column's values.

    Where all labels of a part are 0 or 1, their sum below a value is the number of ones below it,
    so a sketch of the ones tells it; of other labels the sums between some values are kept. Exact
    up to ``quantiles.EXACT`` distinct values, and beyond it as near as the sketches are.
    """

    unlabelled: QuantileSketch = field(default_factory=QuantileSketch)
    ones: QuantileSketch = field(default_factory=QuantileSketch)
    others: Segments = field(default_factory=lambda: Segments.none())

    def update(self, column: pl.Series, labels: Labels) -> None:
        """Takes the rows of a part; those without a value are left out."""
        if not labels.complete:
            self.unlabelled.merge(sketch_of(column.filter(labels.values.is_null())))
        if labels.binary:
            self.ones.merge(sketch_of(column.filter(labels.values == 1)))
            return
        values = column.cast(pl.Float64)
        frame = pl.DataFrame([values.alias("value"), labels.values.alias("label")])
        frame = frame.drop_nulls().filter(pl.col("value").is_not_nan())
        self.others.merge(Segments.of(frame["value"].to_numpy(), frame["label"].to_numpy()))

    def merge(self, other: LabelSums) -> None:
        """Takes what the rows of another part gave."""
        self.unlabelled.merge(other.unlabelled)
        self.ones.merge(other.ones)
        self.others.merge(other.others)

    def by_bin(self, edges: Sequence[float], counts: Counts) -> tuple[Counts, Floats]:
        """Rows with a label and the sum of labels for each bin.

        Args:
            edges: rising inner edges; a bin holds its lower one.
            counts: rows by bin.
        """
        ends = np.asarray(edges, np.float64)
        missing = np.diff(self.unlabelled.below(ends), prepend=0, append=self.unlabelled.count)
        ones = np.diff(self.ones.below(ends), prepend=0, append=self.ones.count)
        labelled = np.maximum(counts - missing, 0)
        if not self.others.rows.size:  # sketches of their own may disagree by their errors
            ones = np.clip(ones, 0, labelled)
        return labelled, ones + self.others.by_bin(ends)


@dataclass(slots=True)
class Segments:
    """Rows and label sums, each at the greatest value of those that it is of."""

    values: Floats
    rows: Counts
    sums: Floats

    @classmethod
    def none(cls) -> Segments:
        """Of no row."""
        return cls(np.empty(0), np.empty(0, np.int64), np.empty(0))

    @classmethod
    def of(cls, values: Floats, labels: Floats) -> Segments:
        """Of rows in any order, without NaN."""
        order = np.argsort(values, kind="stable")
        return _joined(values[order] + 0.0, np.ones(len(order), np.int64), labels[order])

    def merge(self, other: Segments) -> None:
        """Takes the segments of other rows."""
        values = np.concatenate([self.values, other.values])
        order = np.argsort(values, kind="stable")
        made = _joined(
            values[order],
            np.concatenate([self.rows, other.rows])[order],
            np.concatenate([self.sums, other.sums])[order],
        )
        self.values, self.rows, self.sums = made.values, made.rows, made.sums

    def by_bin(self, edges: Floats) -> Floats:
        """The sum of labels for each bin."""
        bins = np.searchsorted(edges, self.values, side="right")
        return np.bincount(bins, self.sums, minlength=len(edges) + 1)


def _joined(values: Floats, rows: Counts, sums: Floats) -> Segments:
    """Sorted segments, those of equal values as one; beyond ``EXACT`` neighbours become one."""
    if not len(values):
        return Segments.none()
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    if len(ends) > EXACT:
        # What ends in the same one of EXACT // 2 equal shares of the rows.
        share = np.cumsum(rows)[ends] * (EXACT // 2) // (int(rows.sum()) + 1)
        ends = ends[np.append(share[1:] != share[:-1], True)]
    starts = np.concatenate(([0], ends[:-1] + 1))
    return Segments(values[ends], np.add.reduceat(rows, starts), np.add.reduceat(sums, starts))
