"""Statistics of a file in the form that the Delta log keeps, never narrower than the truth."""

from __future__ import annotations

import json
import math
from typing import Any, cast

import polars as pl

_MAX_CHARS = 32
_TOP = 0x10FFFF
_EXACT_DIGITS = 15  # what a JSON number carries through a double unchanged


def delta_stats(frame: pl.DataFrame) -> str:
    """Row count, null counts, least and greatest values of a file's columns as Delta's JSON.

    Left out where they would mislead a reader: the ends of a float column that holds NaN or an
    infinity, of nested and binary columns, and of decimals too wide for JSON. A long string's
    least value is cut short, its greatest is cut and rounded up.
    """
    flat = [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
    stats: dict[str, Any] = {"numRecords": frame.height}
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    for name in flat:
        ends = _ends(frame[name])
        if ends is not None:
            low[name], high[name] = ends
    stats["minValues"] = low
    stats["maxValues"] = high
    stats["nullCount"] = {name: frame[name].null_count() for name in flat}
    return json.dumps(stats, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _ends(column: pl.Series) -> tuple[Any, Any] | None:
    if column.null_count() == column.len():
        return None
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _time_ends(column)
    if isinstance(dtype, pl.Decimal):
        exact = dtype.precision is not None and dtype.precision <= _EXACT_DIGITS
        ends = (column.min(), column.max())
        return (float(cast("Any", ends[0])), float(cast("Any", ends[1]))) if exact else None
    if not (dtype.is_integer() or dtype.is_float() or isinstance(dtype, pl.String | pl.Boolean)):
        return None
    if dtype.is_float() and column.is_nan().any():
        return None
    low: Any = column.min()
    high: Any = column.max()
    if dtype.is_float() and not (math.isfinite(low) and math.isfinite(high)):
        return None
    if isinstance(dtype, pl.String):
        # Both or none: deltalake reads a least value alone as "no row can match".
        top = round_up(high, _MAX_CHARS)
        return None if top is None else (low[:_MAX_CHARS], top)
    return low, high


def _time_ends(column: pl.Series) -> tuple[str, str] | None:
    both = pl.Series([column.min(), column.max()], dtype=column.dtype)
    if isinstance(column.dtype, pl.Datetime):
        zone = "Z" if column.dtype.time_zone else ""
        text = both.dt.replace_time_zone(None).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f") + zone
    else:
        text = both.dt.strftime("%Y-%m-%d")
    low, high = text.to_list()
    wide = len(low) == len(high) and low[:1].isdigit() and high[:1].isdigit()  # years of 4 digits
    return (low, high) if wide else None


def round_up(text: str, chars: int) -> str | None:
    """The text, or one of at most ``chars`` characters that is greater; None when there is none.

    Order is that of UTF-8 bytes, which is that of code points.
    """
    if len(text) <= chars:
        return text
    for end in range(chars, 0, -1):
        code = ord(text[end - 1])
        if code < _TOP:
            # Surrogates are no characters: the next one after U+D7FF is U+E000.
            following = 0xE000 if code == 0xD7FF else code + 1
            return text[: end - 1] + chr(following)
    return None
