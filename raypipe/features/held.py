"""What has to lie in memory as a whole, and the error where it is more than that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.engine.cluster import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHARE = 0.5
"""Of the memory that this process may use, what one table may take."""

_TEXT_BYTES = 32
_SCAN = "Give a scan, such as Table.at(), which is read part by part."


def most_rows(dtypes: Iterable[pl.DataType], more: int = 0) -> int:
    """How many rows of such columns may lie in memory.

    Args:
        dtypes: of the columns; a text, a list or a struct is taken for 32 bytes, others for 8.
        more: bytes that each row takes besides.
    """
    nested = (pl.String, pl.Binary, pl.List, pl.Array, pl.Struct)
    width = sum(_TEXT_BYTES if isinstance(one, nested) else 8 for one in dtypes) + more
    return int(SHARE * memory_bytes() / max(1, width))


def check_held(rows: int, most: int, what: str, act: str = _SCAN, field: str = "data") -> None:
    """Refuses what memory does not hold.

    Raises:
        RecipeError: there are more rows than ``most``.
    """
    if rows > most:
        raise RecipeError(
            f"{what} do not fit in memory",
            f"{rows:,} rows; half of it holds {most:,} of them",
            act,
            field,
        )


def collected_whole(
    frame: pl.LazyFrame, columns: Sequence[str], what: str, act: str = _SCAN
) -> pl.DataFrame:
    """Columns of a lazy frame in memory. A frame that reads files is counted first.

    Raises:
        RecipeError: half of the memory does not hold that many rows.
    """
    wanted = frame.select(columns)
    if "SCAN" in frame.explain(optimized=False):
        rows = int(frame.select(pl.len()).collect().item())
        check_held(rows, most_rows(wanted.collect_schema().values()), what, act)
    return wanted.collect()
