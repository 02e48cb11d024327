"""What one pass over the rows gathers for the reference profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.features.label_sums import LabelSums
from raypipe.features.part_rows import PartRows, RowsView
from raypipe.features.profile import BINS, TOP, ColumnProfile, Profile, TargetByCode
from raypipe.features.quantiles import QuantileSketch
from raypipe.features.tally import Tally
from raypipe.features.transforms.base import slot

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBERS = ("int64", "float64")
_CATEGORIES = ("string", "bool")


@dataclass(slots=True)
class ProfileState:
    """Bounded memory for any number of rows: sketches of numbers, tallies of categories.

    Up to 16,384 distinct values of a column all is exact, and the order of merging changes no
    bit of it but for sums of labels that are no whole numbers.

    Args:
        types: the raw type of each input.
        with_label: whether rows come with a label.
    """

    types: Mapping[str, str]
    with_label: bool = False
    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, QuantileSketch] = field(default_factory=dict)
    labels: dict[str, LabelSums] = field(default_factory=dict)
    categories: dict[str, Tally] = field(default_factory=dict)
    labelled: int = 0
    label_sum: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in self.types.items():
            self.nulls[name] = 0
            if kind in _NUMBERS:
                self.numbers[name] = QuantileSketch()
                self.labels[name] = LabelSums()
            elif kind in _CATEGORIES:
                self.categories[name] = Tally()

    def update(self, frame: pl.DataFrame, target: pl.Series | None = None) -> None:
        """Takes the rows of a part: raw columns in their raw types, and the label as Float64."""
        places = {name: place for place, name in enumerate(self.types)}
        columns = frame.select(pl.col(name).alias(slot(n)) for name, n in places.items())
        self.take(PartRows(columns, target).view(places))

    def take(self, view: RowsView) -> None:
        """Takes the rows of a part."""
        labels = view.rows.labels
        self.rows += view.rows.frame.height
        if labels is not None:
            self.labelled += len(labels.values) - labels.values.null_count()
            self.label_sum += float(labels.values.sum())
        for name in self.types:
            self.nulls[name] += view.column(name).null_count()
        for name, sketch in self.numbers.items():
            sketch.merge(view.sketch(name))
            if labels is not None:
                self.labels[name].update(view.column(name), labels)
        for name, tally in self.categories.items():
            tally.update(view.counts(name))

    def merge(self, other: ProfileState) -> None:
        """Takes the state of the part that follows."""
        self.rows += other.rows
        self.labelled += other.labelled
        self.label_sum += other.label_sum
        for name in self.types:
            self.nulls[name] += other.nulls[name]
        for name, sketch in self.numbers.items():
            sketch.merge(other.numbers[name])
            self.labels[name].merge(other.labels[name])
        for name, tally in self.categories.items():
            tally.merge(other.categories[name])

    def finish(self) -> Profile:
        """The profile of all rows."""
        columns: dict[str, ColumnProfile] = {}
        for name in self.types:
            if name in self.numbers:
                columns[name] = self._numeric(name)
            elif name in self.categories:
                columns[name] = self._categorical(name)
        return Profile(columns)

    def _numeric(self, name: str) -> ColumnProfile:
        sketch = self.numbers[name]
        total = sketch.count
        marks = sketch.at([total * part // BINS for part in range(1, BINS)] if total else [])
        edges = np.unique(marks[np.isfinite(marks)])
        counts = np.diff(sketch.below(edges), prepend=0, append=total)
        target = None
        if self.with_label:
            rows, sums = self.labels[name].by_bin(edges.tolist(), counts)
            target = self._target(rows.tolist(), sums.tolist())
        return ColumnProfile(
            name=name,
            kind="numeric",
            edges=tuple(edges.tolist()),
            counts=tuple(counts.tolist()),
            nulls=self.rows - total,
            error=2 * sketch.error,  # a count lies between two edges
            target=target,
        )

    def _categorical(self, name: str) -> ColumnProfile:
        tally = self.categories[name]
        top = tally.top(TOP)
        counts = top["rows"].to_list()
        target = None
        if self.with_label:
            rest = tally.counts.sort("rows", "key", descending=[True, False])[TOP:]
            rows = [*top["labelled"].to_list(), int(rest["labelled"].sum())]
            target = self._target(rows, [*top["labels"].to_list(), float(rest["labels"].sum())])
        return ColumnProfile(
            name=name,
            kind="categorical",
            categories=tuple(top["key"].to_list()),
            counts=(*counts, tally.rows - sum(counts)),
            nulls=self.rows - tally.rows,
            error=tally.off / self.rows if self.rows else 0.0,
            target=target,
        )

    def _target(self, rows: list[int], sums: list[float]) -> TargetByCode:
        """With the rows without a value, which are those that are in no bin."""
        missing = max(0, self.labelled - sum(rows))
        return TargetByCode.of([*rows, missing], [*sums, self.label_sum - sum(sums)])
