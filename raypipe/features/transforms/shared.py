"""The rows of one part as the fit hands them out: what several states need is made once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.features.quantiles import QuantileSketch
from raypipe.features.transforms.base import slot
from raypipe.features.transforms.hashing import row_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_WHOLE = 2.0**20  # sums of whole numbers up to this are exact in any order, up to 2**33 rows
_RANGE = 1 << 17  # whole numbers of no wider a range are coded by place


@dataclass(frozen=True, slots=True)
class Labels:
    """The label of a part's rows.

    Attributes:
        values: the label, 0 where unknown.
        known: which rows have one; None where all have.
        whole: whether sums of them are exact in any order.
    """

    values: Floats
    known: Flags | None
    whole: bool

    @classmethod
    def of(cls, target: pl.Series) -> Labels:
        """From the label as Float64, null where unknown."""
        values = (target.fill_null(0.0) if target.null_count() else target).to_numpy()
        known = target.is_not_null().to_numpy() if target.null_count() else None
        least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
        whole = max(-least, most) <= _WHOLE and np.array_equal(np.floor(values), values)
        return cls(values, known, bool(whole))


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers without null and NaN.

    Attributes:
        values: as floats.
        rows: which rows these are; None where all.
        finite: whether no infinity is among them.
    """

    values: Floats
    rows: Flags | None
    finite: bool

    @classmethod
    def of(cls, column: pl.Series) -> Numbers:
        """Of a column of numbers or booleans."""
        rows = column.is_not_null().to_numpy() if column.null_count() else None
        values = column.drop_nulls().cast(pl.Float64).to_numpy()
        if np.isfinite(values).all():
            return cls(values, rows, finite=True)
        number = ~np.isnan(values)
        if not number.all():
            values = values[number]
            if rows is not None:
                place = np.flatnonzero(rows)[number]
                number = np.zeros(len(rows), np.bool_)
                number[place] = True
            rows = number
        return cls(values, rows, bool(np.isfinite(values).all()))


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of categories as whole numbers.

    Attributes:
        keys: the category of each code; some may be of no row.
        codes: of each row that is not null.
        rows: which rows these are; None where all.
        counts: rows by code.
    """

    keys: pl.Series
    codes: Ints
    rows: Flags | None
    counts: Ints

    @classmethod
    def of(cls, column: pl.Series) -> Coded:
        """Of a column of strings, integers or booleans."""
        keys, codes, rows = cls._of(column)
        return cls(keys, codes, rows, np.bincount(codes, minlength=len(keys)))

    @staticmethod
    def _of(column: pl.Series) -> tuple[pl.Series, Ints, Flags | None]:
        rows = column.is_not_null().to_numpy() if column.null_count() else None
        present = column.drop_nulls()
        if column.dtype == pl.String:
            # Categories of its own, so that they go when this goes.
            kind = pl.Categorical(pl.Categories.random())
            marked = present.cast(kind)  # to be kept: it holds what the codes stand for
            codes = marked.to_physical().to_numpy().astype(np.int64)
            numbers = pl.Series(range(int(codes.max(initial=-1)) + 1), dtype=pl.UInt32)
            return numbers.cat.to(marked.dtype).cast(pl.String), codes, rows
        if column.dtype == pl.Boolean:
            return pl.Series([False, True]), present.cast(pl.Int64).to_numpy(), rows
        if column.dtype != pl.UInt64 and len(present):
            values = present.cast(pl.Int64).to_numpy()
            least, most = int(values.min()), int(values.max())
            if most - least < min(_RANGE, len(values) + 64):
                # The end of a range up to the greatest integer would be no integer of 64 bits.
                keys = (pl.int_range(most - least + 1, eager=True) + least).cast(column.dtype)
                return keys, values - least, rows
        distinct, place = np.unique(present.to_numpy(), return_inverse=True)
        return pl.Series(distinct, dtype=column.dtype), place.astype(np.int64), rows

    def labelled(self, labels: Labels) -> tuple[Ints, Floats]:
        """Rows with a label and the sum of their labels, by code."""
        values, known, codes = labels.values, labels.known, self.codes
        if self.rows is not None:
            values, known = values[self.rows], None if known is None else known[self.rows]
        size = len(self.keys)
        sums = np.bincount(codes, values, minlength=size)
        rows = self.counts if known is None else np.bincount(codes[known], minlength=size)
        return rows, np.asarray(sums, np.float64)


class SharedRows:
    """A part's rows in slots, with its label.

    Args:
        frame: a column for each slot that is known.
        target: the label as Float64, null where unknown; None without a label.
        part: the number of the part in the scan.
        first_row: the place of the first of these rows in the part, before any filter of labels.
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
        """The rows under the names of some slots."""
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

    def folds(self, count: int) -> Ints:
        """The fold of each row, of so many."""

        def made() -> Ints:
            hashes = row_hash(self.part, self.first_row, self.frame.height)
            # What % gives, and twice as fast; no remainder reaches the sign's bit.
            hashes -= hashes // np.uint64(count) * np.uint64(count)
            return hashes.view(np.int64)

        found: Ints = self.once("folds", count, made)
        return found


@dataclass(frozen=True)
class RowsView:
    """The rows of a part under the names that a transform reads. Nothing it gives is changed."""

    rows: SharedRows
    names: Mapping[str, int] = field(repr=False)

    @classmethod
    def of(
        cls, frame: pl.DataFrame, target: pl.Series | None, part: int = 0, first_row: int = 0
    ) -> RowsView:
        """Of a frame whose columns have their own names."""
        names = {name: place for place, name in enumerate(frame.columns)}
        slots = frame.rename({name: slot(place) for name, place in names.items()})
        return SharedRows(slots, target, part, first_row).view(names)

    @property
    def frame(self) -> pl.DataFrame:
        """The columns by name."""
        return pl.DataFrame([self.column(name).alias(name) for name in self.names])

    def column(self, name: str) -> pl.Series:
        """One column."""
        return self.rows.frame[slot(self.names[name])]

    def numbers(self, name: str) -> Numbers:
        """The numbers of a column, without null and NaN."""
        make = lambda: Numbers.of(self.column(name))  # noqa: E731 - of one line
        found: Numbers = self.rows.once("numbers", self.names[name], make)
        return found

    def finite(self, name: str) -> Floats:
        """The finite numbers of a column."""
        numbers = self.numbers(name)
        return numbers.values if numbers.finite else numbers.values[np.isfinite(numbers.values)]

    def sketch(self, name: str) -> QuantileSketch:
        """The sketch of the finite numbers of a column."""

        def made() -> QuantileSketch:
            sketch = QuantileSketch()
            sketch.update(self.finite(name))
            return sketch

        found: QuantileSketch = self.rows.once("sketch", self.names[name], made)
        return found

    def coded(self, name: str) -> Coded:
        """The categories of a column."""
        make = lambda: Coded.of(self.column(name))  # noqa: E731 - of one line
        found: Coded = self.rows.once("coded", self.names[name], make)
        return found
