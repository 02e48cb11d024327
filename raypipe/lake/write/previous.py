"""The figure that an expectation came to when the table was written before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import TableNotFoundError
from raypipe.lake.log.table_log import our_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.lake.log.table_log import TableLog

CHECKS = "__checks"
_COMMITS = 20


def previous_figure(log: TableLog, rows: Callable[[str], Any], name: str) -> float | None:
    """The figure of the newest commit that was judged by an expectation.

    The log tells it of the last commits; what is further back stands in the table of checks.

    Args:
        log: the table's log.
        rows: the newest rows of one of the lake's tables.
        name: the expectation.
    """
    newest = log.version_or_none()
    if newest is None:
        return None
    for version in range(newest, max(-1, newest - _COMMITS), -1):
        for one in our_part(log.commit_info(version)).get("checks", ()):
            if one["name"] == name:
                value = one["value"]
                return value if isinstance(value, int | float) else None
    try:
        table = rows(log.name + CHECKS)
    except TableNotFoundError:
        return None
    found = (
        table.where((pl.col("expectation") == name) & (pl.col("version") <= newest))
        .lazy()
        .sort("version")
        .select(pl.col("value").last())
        .collect()
    )
    return found.item() if found.height else None
