"""What one pass over the rows gathers for the reference profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.features.keys import Room
from raypipe.features.profile import BINS, TOP, ColumnProfile, Profile, TargetByCode
from raypipe.features.spread import Spread
from raypipe.features.tally import Tally
from raypipe.features.transforms.shared import Coded, Labels, Numbers, RowsView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

_NUMBERS = ("int64", "float64")
_CATEGORIES = ("string", "bool")


@dataclass(slots=True)
class Missing:
    """Rows without a value: how many, those of them with a label, and the sum of these."""

    rows: int = 0
    labelled: int = 0
    labels: float = 0.0

    def update(self, rows: npt.NDArray[np.bool_] | None, labels: Labels | None) -> None:
        """Takes a part, of which some rows have a value; None: all."""
        if rows is None:
            return
        without = np.flatnonzero(~rows)
        self.rows += len(without)
        if labels is not None:
            if labels.known is not None:
                without = without[labels.known[without]]
            self.labelled += len(without)
            self.labels += float(labels.values[without].sum())

    def merge(self, other: Missing) -> None:
        """Takes the rows of another part."""
        self.rows += other.rows
        self.labelled += other.labelled
        self.labels += other.labels


@dataclass(slots=True)
class ProfileState:
    """Bounded memory for any number of rows: cells of numbers, tallies of categories.

    Where a column's distinct values are few (``spread.EXACT``, ``tally.EXACT``), all is exact and
    the order of merging changes no bit, but for sums of labels that are no whole numbers; these
    have the same bits for the same tree of merges.

    Args:
        types: the raw type of each input.
        with_label: whether rows come with a label.
    """

    types: Mapping[str, str]
    with_label: bool = False
    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    missing: dict[str, Missing] = field(default_factory=dict)
    numbers: dict[str, Spread] = field(default_factory=dict)
    categories: dict[str, Tally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in self.types.items():
            self.nulls[name] = 0
            if kind in _NUMBERS:
                self.numbers[name] = Spread()
            elif kind in _CATEGORIES:
                self.categories[name] = Tally()
            else:
                continue
            self.missing[name] = Missing()

    def update(self, frame: pl.DataFrame, target: pl.Series | None = None) -> None:
        """Takes the rows of a part: raw columns in their raw types, and the label as Float64."""
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        """Takes the rows of a part."""
        labels = view.rows.labels if self.with_label else None
        self.rows += view.rows.frame.height
        for name in self.types:
            self.nulls[name] += view.column(name).null_count()
        room = Room(view.rows.frame.height if self.numbers else 0)
        for name, spread in self.numbers.items():
            numbers = view.numbers(name)
            self.missing[name].update(numbers.rows, labels)
            spread.update(numbers.values, *_labels_of(numbers, labels), room)
        for name, tally in self.categories.items():
            coded = view.coded(name)
            self.missing[name].update(coded.rows, labels)
            tally.update(_counted(coded, labels))

    def merge(self, other: ProfileState) -> None:
        """Takes the state of the part that follows."""
        self.rows += other.rows
        for name in self.types:
            self.nulls[name] += other.nulls[name]
        for name, missing in self.missing.items():
            missing.merge(other.missing[name])
        for name, spread in self.numbers.items():
            spread.merge(other.numbers[name])
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
        cut = self.numbers[name].cut(BINS)
        return ColumnProfile(
            name=name,
            kind="numeric",
            edges=cut.edges,
            counts=cut.rows,
            nulls=self.missing[name].rows,
            error=cut.error,
            target=self._target(name, cut.labelled, cut.sums),
        )

    def _categorical(self, name: str) -> ColumnProfile:
        tally = self.categories[name]
        ranked = tally.ranked()
        top, rest = ranked[:TOP], ranked[TOP:]
        counts = top["rows"].to_list()
        return ColumnProfile(
            name=name,
            kind="categorical",
            categories=tuple(top["key"].to_list()),
            counts=(*counts, tally.rows - sum(counts)),
            nulls=self.missing[name].rows,
            error=tally.off / tally.rows if tally.rows else 0.0,
            target=self._target(
                name,
                [*top["labelled"].to_list(), int(rest["labelled"].sum())],
                [*top["labels"].to_list(), float(rest["labels"].sum())],
            ),
        )

    def _target(self, name: str, rows: Sequence[int], sums: Sequence[float]) -> TargetByCode | None:
        if not self.with_label:
            return None
        missing = self.missing[name]
        return TargetByCode.of([*rows, missing.labelled], [*sums, missing.labels])


def _labels_of(
    numbers: Numbers, labels: Labels | None
) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.bool_] | None]:
    """The labels of the rows with a number, and which of them have one."""
    if labels is None:
        return None, None
    if numbers.rows is None:
        return labels.values, labels.known
    known = None if labels.known is None else labels.known[numbers.rows]
    return labels.values[numbers.rows], known


def _counted(coded: Coded, labels: Labels | None) -> pl.DataFrame:
    """``key`` as text, ``rows``, ``labelled`` and ``labels`` of each category of a part."""
    counts = coded.counts
    none = np.zeros(len(counts), np.int64)
    labelled, sums = (none, none.astype(float)) if labels is None else coded.labelled(labels)
    made = {"rows": counts, "labelled": labelled, "labels": sums}
    frame = pl.DataFrame(
        [coded.keys.cast(pl.String).alias("key"), *map(pl.Series, made, made.values())]
    )
    return frame if counts.all() else frame.filter(pl.col("rows") > 0)
