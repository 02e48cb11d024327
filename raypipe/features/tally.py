"""How often each category is there: exact for many, within a known error for any number."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

EXACT = 16_384
_SCHEMA = {"key": pl.String, "rows": pl.Int64, "labelled": pl.Int64, "labels": pl.Float64}


@dataclass(slots=True)
class Tally:
    """Rows, rows with a label and the sum of labels for each category, as text.

    Up to ``exact`` categories every figure is exact. Beyond it the rarer half is given up: each
    count is too low by ``off`` at most, which is at most ``2 / exact`` of all rows, and what is
    known of a category's labels are those of the rows that were counted while it was kept.

    Source: Misra and Gries, "Finding repeated elements" (1982), merged as by Agarwal et al.,
    "Mergeable summaries" (PODS 2012).

    Args:
        exact: how many categories are kept at most.
    """

    exact: int = EXACT
    rows: int = 0
    off: int = 0
    counts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_SCHEMA))

    def update(self, counts: pl.DataFrame) -> None:
        """Takes the rows of a part: ``key``, ``rows``, ``labelled``, ``labels``, a key once."""
        part = counts.select(pl.col("key").cast(pl.String), "rows", "labelled", "labels")
        self.merge(Tally(self.exact, int(part["rows"].sum()), 0, part.sort("key")))

    def merge(self, other: Tally) -> None:
        """Takes what another tally has counted."""
        both = pl.concat([self.counts, other.counts])
        if self.rows and other.rows:
            # Two rows a key at most, so that floats are added in one order only.
            both = both.group_by("key").agg(pl.col("rows", "labelled", "labels").sum()).sort("key")
        self.rows += other.rows
        self.off += other.off
        if both.height > self.exact:
            cut = int(both["rows"].sort(descending=True)[self.exact // 2])
            both = both.filter(pl.col("rows") > cut).with_columns(pl.col("rows") - cut)
            self.off += cut
        self.counts = both

    def ranked(self) -> pl.DataFrame:
        """The categories, the most frequent first, ties in the order of their text."""
        return self.counts.sort("rows", "key", descending=[True, False])
