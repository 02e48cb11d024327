"""Which files a change has to look at, and how it is best carried out. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions import encode
from raypipe.lake.log.prune import may_match

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEW_KEYS = 200
"""As many values as a filter lists one by one; beyond, the least and greatest stand for them."""

_OURS = re.compile(r"part-[0-9a-f]{32}(?:-\d{1,10})+(?=[-.])")
_NOBODYS = f"part-{'0' * 32}-"


def key_filter(keys: pl.DataFrame) -> dict[str, Any] | None:
    """A filter that every row with one of the keys passes, in its stored form.

    None when no column tells anything: every row may have one of the keys then. Few keys are named
    each; of many the ends stand for all.
    """
    found = [one for name in keys.columns if (one := _column_filter(keys[name])) is not None]
    if not found:
        return None
    whole = found[0]
    for one in found[1:]:
        whole = whole & one
    return encode(whole)


def _column_filter(values: pl.Series) -> pl.Expr | None:
    column, seen = pl.col(values.name), values.unique()
    if seen.len() == 0:
        return None
    if seen.len() <= _FEW_KEYS:
        few = column.is_in(seen.sort().to_list())
        if _storable(few):
            return few
    low, high = seen.min(), seen.max()
    ends = column.is_between(pl.lit(low), pl.lit(high))
    return ends if _storable(ends) else None


def _storable(expr: pl.Expr) -> bool:
    try:
        encode(expr)
    except RecipeError:
        return False
    return True


def candidates(
    where: Mapping[str, Any] | None, files: pl.DataFrame, schema: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """The files that can hold a row of the filter, in their order; all for None."""
    if where is None:
        return files
    return files.filter(may_match(where, files, schema))


def new_name(path: str, attempt: str, number: int) -> str:
    """The name of the file that takes another's place, relative to the table's folder.

    It begins as the first file of that line did, so that files of one commit keep their order. The
    line of another engine's file begins here: digits of its path tell it from all other lines, so
    that no two files of one change ever get one name.

    Args:
        path: the old file's, as it is on disk.
        attempt: of the change.
        number: the file's among those of the change.
    """
    folder, _, name = path.rpartition("/")
    line = _OURS.match(name)
    if line and (not name.startswith(_NOBODYS) or line[0].count("-") > 2):
        stem = line[0]
    else:  # also where only a number tells a line from others, as it once did
        digits = int(hashlib.sha256(path.encode()).hexdigest(), 16) % 10**20
        stem = f"{_NOBODYS}{number:08d}-{digits // 10**10:010d}-{digits % 10**10:010d}"
    return f"{folder}/{stem}-{attempt}.parquet" if folder else f"{stem}-{attempt}.parquet"
