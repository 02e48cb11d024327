"""The rows that ask, in the order of key and time: what feature rows are looked up in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_CODE = "#code"
_SPARE = 1 << 20
"""Whole-number keys that span no more than this, or four times the rows, are their own codes."""

_BLOCK = 1 << 16
"""Searches at once: what they need stays in the processor's cache."""

_FEW = 64
"""A key with more rows that ask is searched with all keys as one: that takes log(rows) steps."""


class Codes(Protocol):
    """A whole number for each key that asks."""

    def of(self, keys: pl.DataFrame) -> Ints:
        """The codes of rows of key columns in the order of the keys; -1 for one nobody asks for."""


@dataclass(frozen=True, slots=True)
class Dense:
    """Keys that are whole numbers close together: no table is needed."""

    low: int
    high: int

    def of(self, keys: pl.DataFrame) -> Ints:
        """The codes."""
        key = keys.to_series()
        if key.null_count():
            inside = key.is_between(self.low, self.high).fill_null(value=False).to_numpy()
            number = key.fill_null(self.low).cast(pl.Int64).to_numpy()
        else:
            number = key.cast(pl.Int64).to_numpy()
            inside = (number >= self.low) & (number <= self.high)
        return np.where(inside, number - np.int64(self.low), np.int64(-1))


@dataclass(frozen=True, slots=True)
class Listed:
    """Keys of any type and number of columns, each with its code in a table."""

    keys: pl.DataFrame

    def of(self, keys: pl.DataFrame) -> Ints:
        """The codes."""
        on = [name for name in self.keys.columns if name != _CODE]
        named = keys.rename(dict(zip(keys.columns, on, strict=True)))
        joined = named.join(self.keys, on=on, how="left", maintain_order="left")
        return joined[_CODE].fill_null(-1).to_numpy()


@dataclass(frozen=True)
class Asked:
    """The rows that ask.

    Attributes:
        codes: the code of each key.
        times: the distinct times, ascending, as whole numbers in the column's own unit.
        rows: the rows' numbers in the order of code and time, of equal ones as they stand; rows
            with a null in key or time know nothing and are not among them.
        number: ``code * width + rank of the time``, in that order.
        height: rows of the whole frame.
    """

    codes: Codes
    times: Ints
    rows: Ints
    number: Ints
    height: int

    @classmethod
    def of(cls, frame: pl.DataFrame, on: Sequence[str], time: str) -> Asked:
        """The index over the rows of a frame."""
        whole = frame.select(
            *(pl.col(name).alias(f"#{at}") for at, name in enumerate(on)),
            pl.col(time).to_physical().cast(pl.Int64).alias("#time"),
        ).with_row_index("#row")
        if any(whole.null_count().row(0)):
            whole = whole.drop_nulls()
        keys = whole.drop("#row", "#time")
        codes = _codes(keys)
        times, rank = _ranked(whole["#time"])
        number = pl.Series("#number", codes.of(keys) * np.int64(len(times) + 1) + rank)
        ordered = whole.select("#row", number).sort("#number", maintain_order=True)
        rows, number = ordered["#row"].cast(pl.Int64), ordered["#number"]
        return cls(codes, times, rows.to_numpy(), number.to_numpy(), frame.height)

    @property
    def width(self) -> np.int64:
        """How far apart two codes are."""
        return np.int64(len(self.times) + 1)

    @property
    def slots(self) -> int:
        """How many rows ask."""
        return len(self.number)

    @cached_property
    def code(self) -> Ints:
        """Their codes, in their order."""
        return self.number // self.width

    @cached_property
    def time(self) -> Ints:
        """Their times, in their order."""
        return self.times[self.number - self.code * self.width]

    @cached_property
    def starts(self) -> Ints:
        """For each code its first slot, and one more entry, so that the next ends each."""
        top = int(self.code[-1]) if self.slots else -1
        return np.searchsorted(self.code, np.arange(top + 2)).astype(np.int64, copy=False)

    def first_from(self, code: Ints, since: Ints) -> Ints:
        """The first slot of a code at or after a time; where there is none, the next code's first.

        Args:
            code: codes, of which each has a slot or is less than one that has.
            since: times.
        """
        out = np.empty(len(code), np.int64)
        for at in range(0, len(code), _BLOCK):
            out[at : at + _BLOCK] = self._first(code[at : at + _BLOCK], since[at : at + _BLOCK])
        return out

    def _first(self, code: Ints, since: Ints) -> Ints:
        low, high = self.starts[code], self.starts[code + 1]
        long = np.flatnonzero(high - low > _FEW)
        if len(long):
            number = np.searchsorted(self.times, since[long])
            number += code[long] * self.width
            low[long] = np.searchsorted(self.number, number)
            high[long] = low[long]
        # All the short searches halve together; those that are done leave.
        some = np.flatnonzero(low < high)
        left, right, wanted = low[some], high[some], since[some]
        while len(some):
            middle = (left + right) >> 1
            late = self.time[middle] < wanted
            left = np.where(late, middle + 1, left)
            right = np.where(late, right, middle)
            going = left < right
            done = ~going
            low[some[done]] = left[done]
            some, left, right, wanted = some[going], left[going], right[going], wanted[going]
        return low


def _ranked(times: pl.Series) -> tuple[Ints, Ints]:
    """The distinct times, ascending, and the place of each time among them."""
    ordered = times.to_frame("#time").with_row_index("#at").sort("#time")
    sorted_times = ordered["#time"].to_numpy()
    first = np.diff(sorted_times, prepend=sorted_times[:1] - 1) != 0
    rank = np.empty(len(first), np.int64)
    rank[ordered["#at"].to_numpy()] = np.cumsum(first) - 1
    return sorted_times[first], rank


def _codes(keys: pl.DataFrame) -> Codes:
    only = keys.to_series()
    small = only.dtype.is_integer() and only.dtype not in (pl.UInt64, pl.Int128, pl.UInt128)
    if keys.width == 1 and small and keys.height:
        low, high = int(only.min()), int(only.max())  # type: ignore[arg-type] # there are rows
        if high - low < max(_SPARE, 4 * keys.height):
            return Dense(low, high)
    distinct = keys.unique(maintain_order=True).with_row_index(_CODE)
    return Listed(distinct.with_columns(pl.col(_CODE).cast(pl.Int64)))
