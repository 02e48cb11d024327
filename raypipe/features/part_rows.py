"""The rows of one part as the fit hands them out: what several states need is made once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.features.quantiles import QuantileSketch
from raypipe.features.transforms.base import slot
from raypipe.features.transforms.categories import coded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

_RANGE = 1 << 17  # whole numbers of no wider a range are counted by place, not sorted
_WHOLE = 2.0**20  # sums of whole numbers up to this are exact in any order, up to 2**33 rows


class PartRows:
    """A part's rows in slots, with its label.

    Args:
        frame: a column for each slot that is known.
        target: the label as Float64, null where unknown; None without a label.
        part: the number of the part in the scan.
        first_row: the place of the first of these rows in the part.
    """

    def __init__(
        self, frame: pl.DataFrame, target: pl.Series | None, part: int = 0, first_row: int = 0
    ) -> None:
        self.frame = frame
        self.target = target
        self.part = part
        self.first_row = first_row
        self._made: dict[tuple[str, int], Any] = {}

    def view(self, names: Mapping[str, int]) -> RowsView:
        """The rows by the names of some slots."""
        return RowsView(self, names)

    def once(self, what: str, place: int, make: Callable[[], Any]) -> Any:
        """What is made of a slot, made when it is first asked for."""
        if (what, place) not in self._made:
            self._made[what, place] = make()
        return self._made[what, place]

    @cached_property
    def labels(self) -> Labels | None:
        """The label's values; None without a label."""
        return None if self.target is None else Labels.of(self.target)


@dataclass(frozen=True, slots=True)
class Labels:
    """The label of a part.

    Attributes:
        values: the label, null where unknown.
        complete: whether every row has one.
        binary: whether each is 0 or 1.
        whole: whether sums of them are exact in any order.
    """

    values: pl.Series
    complete: bool
    binary: bool
    whole: bool

    @classmethod
    def of(cls, values: pl.Series) -> Labels:
        """With what holds for all of them."""
        whole = bool(((values.floor() == values) & (values.abs() <= _WHOLE)).all())
        binary = whole and bool(values.is_between(0, 1).all())
        return cls(values, values.null_count() == 0, binary, whole)


@dataclass(frozen=True)
class RowsView:
    """The rows of a part under the names that a transform reads. Nothing it gives is changed."""

    rows: PartRows
    names: Mapping[str, int] = field(repr=False)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The columns by name."""
        return pl.DataFrame([self.column(name).alias(name) for name in self.names])

    @property
    def target(self) -> pl.Series | None:
        """The label as Float64, null where unknown; None without a label."""
        return self.rows.target

    def column(self, name: str) -> pl.Series:
        """One column."""
        return self.rows.frame[slot(self.names[name])]

    def sketch(self, name: str) -> QuantileSketch:
        """How the numbers of a column are spread: without null and NaN, with infinities."""
        column = self.column(name)
        made: QuantileSketch = self.rows.once(
            "sketch", self.names[name], lambda: sketch_of(column)
        )
        return made

    def finite_sketch(self, name: str) -> QuantileSketch:
        """As ``sketch``, without infinities."""
        whole = self.sketch(name)
        if not whole.count or np.isfinite(whole.at([0, whole.count - 1])).all():
            return whole
        column = self.column(name).cast(pl.Float64)
        made: QuantileSketch = self.rows.once(
            "finite", self.names[name], lambda: sketch_of(column.filter(column.is_finite()))
        )
        return made

    def counts(self, name: str) -> pl.DataFrame:
        """``key`` (each value of a column once, no null), ``rows``, ``labelled``, ``labels``.

        The last two are the rows with a label and the sum of their labels, added in the order of
        the rows; both are 0 without a label. The order of the keys is no particular one.
        """
        column = self.column(name)
        made: pl.DataFrame = self.rows.once(
            "counts", self.names[name], lambda: _counted(column, self.rows.labels)
        )
        return made


def sketch_of(column: pl.Series) -> QuantileSketch:
    """The sketch of a column of numbers, null and NaN left out."""
    sketch = QuantileSketch()
    present = column.drop_nulls()
    if present.dtype.is_integer() and len(present):
        low, high = int(present.min()), int(present.max())  # type: ignore[arg-type]
        if high - low < min(_RANGE, len(present)) and max(-low, high) < 2**53:
            counts = np.bincount(present.to_numpy() - low)
            there = np.flatnonzero(counts)
            sketch.update_counts((there + low).astype(np.float64), counts[there])
            return sketch
    values = present.cast(pl.Float64)
    if values.is_nan().any():
        values = values.drop_nans()
    sketch.update(values.to_numpy())
    return sketch


def _counted(column: pl.Series, labels: Labels | None) -> pl.DataFrame:
    rows, zero = pl.len().cast(pl.Int64).alias("rows"), pl.lit(0, pl.Int64)
    if labels is None:
        found = pl.DataFrame([column.alias("key")]).drop_nulls().group_by("key").agg(rows)
        return found.with_columns(zero.alias("labelled"), zero.cast(pl.Float64).alias("labels"))
    frame = pl.DataFrame([column.alias("key"), labels.values.alias("label")])
    if column.null_count():
        frame = frame.drop_nulls("key")
    label = pl.col("label")
    if labels.whole:
        return frame.group_by("key").agg(
            rows, label.count().cast(pl.Int64).alias("labelled"), label.sum().alias("labels")
        )
    keys, codes = coded(frame["key"])
    there = frame["label"].is_not_null().to_numpy()
    # A group_by may add in any order; this adds in that of the rows.
    sums = np.bincount(codes[there], _floats(frame["label"])[there], minlength=len(keys))
    return pl.DataFrame(
        {
            "key": pl.Series(keys, dtype=column.dtype),
            "rows": np.bincount(codes, minlength=len(keys)),
            "labelled": np.bincount(codes[there], minlength=len(keys)),
            "labels": sums,
        }
    )


def _floats(series: pl.Series) -> npt.NDArray[np.float64]:
    return series.fill_null(0.0).to_numpy()
