"""What changed between the rows that a commit removed and those that it added. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND = "_change_type"
INSERT, DELETE = "insert", "delete"
PRE, POST = "update_preimage", "update_postimage"
_ADDED, _NTH, _TWIN = "__raypipe_added", "__raypipe_nth", "__raypipe_twin"


def compare(
    removed: pl.DataFrame, added: pl.DataFrame, keys: Sequence[str], most_by_place: int | None
) -> pl.DataFrame:
    """The rows that changed, each with the kind of its change.

    Args:
        removed: rows of the files that were removed, in their order.
        added: rows of the files that took their places.
        keys: columns by whose values a removed and an added row are before and after of one row.
        most_by_place: the rows were rewritten in their places, and at most so many changed; where
            that does not come out, places say nothing. None: they were not.
    """
    if most_by_place is not None and removed.height == added.height:
        moved = _differ(removed, added)
        if moved.sum() <= most_by_place:
            return _pairs(removed.filter(moved), added.filter(moved))
    old, new = _rest(removed, added)
    if keys:
        return _by_keys(old, new, keys)
    return pl.concat([_as(old, DELETE), _as(new, INSERT)])


def _as(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    return rows.with_columns(pl.lit(kind).alias(KIND))


def _differ(one: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    each = [one[name].ne_missing(other[name]) for name in one.columns]
    return (
        pl.select(pl.any_horizontal(each)).to_series()
        if one.height
        else pl.Series([], dtype=pl.Boolean)
    )


def _pairs(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Each row before and then after its update."""
    both = [_as(before, PRE).with_row_index(_NTH), _as(after, POST).with_row_index(_NTH)]
    return pl.concat(both).sort(_NTH, maintain_order=True).drop(_NTH)


def _rest(removed: pl.DataFrame, added: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both without what they share, as multisets of whole rows."""
    columns = removed.columns
    both = pl.concat(
        [removed.with_columns(pl.lit(False).alias(_ADDED)),
         added.with_columns(pl.lit(True).alias(_ADDED))]
    )  # fmt: skip
    both = both.with_columns(
        pl.int_range(pl.len()).over(*columns, _ADDED).alias(_NTH),
        pl.col(_ADDED).sum().over(*columns).cast(pl.Int64).alias(_TWIN),
        pl.len().over(*columns).cast(pl.Int64).alias(f"{_TWIN}s"),
    )
    # Of n equal rows on one side and m on the other, those past the m-th are new or gone.
    other = pl.when(_ADDED).then(pl.col(f"{_TWIN}s") - pl.col(_TWIN)).otherwise(pl.col(_TWIN))
    left = both.filter(pl.col(_NTH) >= other)
    return (
        left.filter(~pl.col(_ADDED)).select(columns),
        left.filter(_ADDED).select(columns),
    )


def _by_keys(old: pl.DataFrame, new: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Rows of equal keys pair up in their order; a key with a null pairs with nothing."""
    nth = pl.int_range(pl.len()).over(*keys).alias(_NTH)
    left = old.with_row_index(f"{_TWIN}_old").with_columns(nth)
    right = new.with_row_index(f"{_TWIN}_new").with_columns(nth)
    pairs = left.select(*keys, _NTH, f"{_TWIN}_old").join(
        right.select(*keys, _NTH, f"{_TWIN}_new"), on=[*keys, _NTH], how="inner"
    )
    pairs = pairs.sort(f"{_TWIN}_old")
    before, after = pairs[f"{_TWIN}_old"], pairs[f"{_TWIN}_new"]
    gone = old.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(before.implode()))
    come = new.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(after.implode()))
    return pl.concat([_as(gone, DELETE), _pairs(old[before], new[after]), _as(come, INSERT)])
