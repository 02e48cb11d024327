"""Partition values from their texts in the log. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl


def partition_value(text: str | None, dtype: pl.DataType) -> Any:
    """A partition value from its text in the log.

    Raises:
        ValueError: the text is not one of the type.
    """
    if text is None or text == "":
        return None
    if isinstance(dtype, pl.String):
        return text
    if isinstance(dtype, pl.Binary):
        return text.encode("latin-1")
    if isinstance(dtype, pl.Boolean):
        return text.lower() == "true"
    if isinstance(dtype, pl.Date):
        return date.fromisoformat(text[:10])
    if isinstance(dtype, pl.Datetime):
        found = datetime.fromisoformat(text)
        if dtype.time_zone is None:
            return found.replace(tzinfo=None)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    if isinstance(dtype, pl.Decimal):
        return pl.Series([text]).str.to_decimal(scale=dtype.scale).cast(dtype).item()
    return pl.Series([text]).cast(dtype).item()
