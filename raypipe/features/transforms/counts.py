"""Counting by category: integers that add up in any order to the same table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.features.transforms.shared import RowsView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.features.transforms.categories import Key

KEY = "key"


class Tally:
    """Integers summed by key: merged in any order, it is the same table.

    Args:
        by: the columns of the key, the first of them the category.
    """

    def __init__(self, *by: str) -> None:
        self.by = by
        self._chunks: list[pl.DataFrame] = []
        self._settled = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Sums all other columns of a frame, Int64, by the key; rows of a null key are left out."""
        self._take([frame.drop_nulls(self.by).group_by(self.by).sum()])

    def add_sums(self, frame: pl.DataFrame) -> None:
        """Takes sums, Int64, of keys that each stand once."""
        self._take([frame])

    def merge(self, other: Tally) -> None:
        """Takes the sums of another."""
        self._take(other._chunks)

    def _take(self, chunks: Sequence[pl.DataFrame]) -> None:
        self._chunks += [chunk for chunk in chunks if chunk.height]
        if sum(chunk.height for chunk in self._chunks) > 2 * self._settled + 100_000:
            self._chunks = [self._sum()]
            self._settled = self._chunks[0].height

    def _sum(self) -> pl.DataFrame:
        # Integers: the sums are the same in whatever order polars takes the rows.
        both = pl.concat(self._chunks, how="diagonal")
        return both.group_by(self.by).agg(pl.all().sum())

    def table(self) -> pl.DataFrame:
        """The sums, in the order of the key; empty, without a column, when nothing was added."""
        return self._sum().sort(self.by) if self._chunks else pl.DataFrame()


class Counts:
    """Rows by category, and how many there are in all and with null."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.rows = 0
        self.nulls = 0
        self.tally = Tally(KEY)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        """Takes a part."""
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        """Takes a part."""
        coded = view.coded(self.column)
        height = view.rows.frame.height
        self.rows += height
        self.nulls += height - len(coded.codes)
        table = pl.DataFrame([coded.keys.alias(KEY), pl.Series("n", coded.counts)])
        self.tally.add_sums(table if coded.counts.all() else table.filter(pl.col("n") > 0))

    def merge(self, other: Counts) -> None:
        """Takes the counts of another part."""
        self.rows += other.rows
        self.nulls += other.nulls
        self.tally.merge(other.tally)

    def counted(self) -> tuple[list[Key], list[int]]:
        """The categories in sorted order, and the rows of each."""
        table = self.tally.table()
        return (table[KEY].to_list(), table["n"].to_list()) if table.width else ([], [])

    def most_frequent(self, min_count: int = 1, limit: int | None = None) -> list[Any]:
        """Categories of at least so many rows, the most frequent first, ties in sorted order."""
        both: list[Any] = list(zip(*self.counted(), strict=True))
        kept = sorted((-count, key) for key, count in both if count >= min_count)
        return [key for _, key in kept[:limit]]
