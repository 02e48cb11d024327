"""Rows that are made piece by piece, as a LazyFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import polars as pl


def lazy_pieces(
    pieces: Callable[[Sequence[str], int | None], Iterable[pl.DataFrame]],
    schema: Mapping[str, pl.DataType],
) -> pl.LazyFrame:
    """The rows as a LazyFrame, which makes them when it is collected.

    Args:
        pieces: gives the rows in their order, in at least one frame, of the columns that are named.
            It is told how many rows are wanted at most, if that is known, and may give more.
        schema: columns and types.
    """

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        left = limit
        for piece in pieces(list(schema) if columns is None else columns, limit):
            rows = piece if left is None else piece.head(left)
            yield rows if predicate is None else rows.filter(predicate)
            if left is not None:
                left -= rows.height
                if left <= 0:
                    return

    return register_io_source(read, schema=dict(schema))
