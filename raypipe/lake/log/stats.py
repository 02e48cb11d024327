"""Statistics of a file in the form that the Delta log keeps, never narrower than the truth."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq

Path = tuple[str, ...]
_MAX_CHARS = 32
_TOP = 0x10FFFF
_HARD = ("INT96", "FIXED_LEN_BYTE_ARRAY")  # their order is not always that of the values
_EXACT_DIGITS = 15  # what a JSON number carries through a double unchanged


def delta_stats(frame: pl.DataFrame, footer: pq.FileMetaData | None = None) -> str:
    """Row count, null counts, least and greatest values of a file's columns as Delta's JSON.

    A struct's fields have theirs nested under its name. Left out where they would mislead a reader:
    the ends of a float column that holds NaN or an infinity, of lists, maps and binary columns, of
    decimals too wide for JSON, and all of a field whose path reads like another column's name. A
    long string's least value is cut short, its greatest is cut and rounded up.

    Args:
        frame: the rows of the file.
        footer: the footer of the file that polars made of them; what it knows is not counted again.
    """
    known = {} if footer is None else _footer_figures(footer)
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    for path, dtype in _leaves(frame):
        figures = known.get(path) or _figures(_series(frame, path))
        _put(nulls, path, figures.nulls)
        ends = None if figures.nulls == frame.height else _ends(frame, path, dtype, figures)
        if ends is not None:
            _put(low, path, ends[0])
            _put(high, path, ends[1])
    stats = {"numRecords": frame.height, "minValues": low, "maxValues": high, "nullCount": nulls}
    return json.dumps(stats, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _Figures:
    """What is known of one column: how many nulls, and its ends among all but NaN."""

    nulls: int
    low: Any
    high: Any


def _leaves(frame: pl.DataFrame) -> Iterator[tuple[Path, pl.DataType]]:
    """Columns that are no lists or maps, and fields of structs, by path.

    Readers join the parts of a path by dots: of two that would then be one, neither is given.
    """
    found: list[tuple[Path, pl.DataType]] = []

    def walk(path: Path, dtype: Any) -> None:
        if isinstance(dtype, pl.Struct):
            for one in dtype.fields:
                walk((*path, one.name), one.dtype)
        elif not dtype.is_nested():
            found.append((path, dtype))

    for name, dtype in frame.schema.items():
        walk((name,), dtype)
    spelled = Counter(".".join(path) for path, _ in found)
    tops = set(frame.columns)
    for path, dtype in found:
        name = ".".join(path)
        if spelled[name] == 1 and not (len(path) > 1 and name in tops):
            yield path, dtype


def _series(frame: pl.DataFrame, path: Path) -> pl.Series:
    column = frame[path[0]]
    for name in path[1:]:
        column = column.struct.field(name)
    return column


def _put(where: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        where = where.setdefault(name, {})
    where[path[-1]] = value


def _figures(column: pl.Series) -> _Figures:
    dtype = column.dtype
    if isinstance(dtype, pl.Binary | pl.Null | pl.Object):
        return _Figures(column.null_count(), None, None)
    return _Figures(column.null_count(), column.min(), column.max())


def _footer_figures(footer: pq.FileMetaData) -> dict[Path, _Figures]:
    """Figures of the columns whose every row group tells them, by path."""
    found: dict[Path, _Figures] = {}
    for index in range(footer.num_columns):
        column = footer.schema.column(index)
        # Twice the same spelling, or something repeated: its rows are not the table's.
        if column.max_repetition_level or column.path.count(".") or column.physical_type in _HARD:
            continue
        parts = [footer.row_group(g).column(index) for g in range(footer.num_row_groups)]
        every = [part.statistics for part in parts]
        if not every or not all(s is not None and s.has_null_count for s in every):
            continue
        ends = [s for s in every if s.has_min_max]
        rows = zip(parts, every, strict=True)
        if any(not s.has_min_max and s.null_count < p.num_values for p, s in rows):
            continue
        found[(column.name,)] = _Figures(
            sum(s.null_count for s in every),
            min((s.min for s in ends), default=None),
            max((s.max for s in ends), default=None),
        )
    return found


def _ends(
    frame: pl.DataFrame, path: Path, dtype: pl.DataType, figures: _Figures
) -> tuple[Any, Any] | None:
    low, high = figures.low, figures.high
    if low is None or high is None:
        return None
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _time_ends(low, high, dtype)
    if isinstance(dtype, pl.Decimal):
        exact = dtype.precision is not None and dtype.precision <= _EXACT_DIGITS
        return (float(low), float(high)) if exact else None
    if not (dtype.is_integer() or dtype.is_float() or isinstance(dtype, pl.String | pl.Boolean)):
        return None
    if dtype.is_float():
        # Footers and polars' ends know nothing of NaN, which polars orders above every number.
        if not (math.isfinite(low) and math.isfinite(high)):
            return None
        # The two zeros are equal, and yet in some orders one is less.
        return None if _has_nan(_series(frame, path)) else (low or -0.0, high or 0.0)
    if isinstance(dtype, pl.String):
        # Both or none: deltalake reads a least value alone as "no row can match".
        top = round_up(high, _MAX_CHARS)
        return None if top is None else (low[:_MAX_CHARS], top)
    return low, high


def _has_nan(column: pl.Series) -> bool:
    """A sum tells most columns free of NaN at a tenth of the cost of a look at each value."""
    return math.isnan(column.sum()) and bool(column.is_nan().any())


def _time_ends(low: Any, high: Any, dtype: pl.Datetime | pl.Date) -> tuple[str, str] | None:
    plain = pl.Datetime(dtype.time_unit) if isinstance(dtype, pl.Datetime) else pl.Date()
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        low, high = (end.astimezone(UTC).replace(tzinfo=None) for end in (low, high))
        zone = "Z"
    else:
        zone = ""
    form = "%Y-%m-%dT%H:%M:%S%.6f" if isinstance(dtype, pl.Datetime) else "%Y-%m-%d"
    first, last = pl.Series([low, high], dtype=plain).dt.strftime(form).to_list()
    wide = len(first) == len(last) and first[:1].isdigit() and last[:1].isdigit()  # 4-digit years
    return (first + zone, last + zone) if wide else None


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
