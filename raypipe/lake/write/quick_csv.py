"""CSV the quick way, where that gives exactly what the strict way gives.

polars parses a text in less time than the strict reader, once it is told the types. A type that the
strict reader finds in some of the values rules out all that it tries before; polars then tells
whether all values are of it. What polars takes and the strict reader does not is looked for
beforehand or afterwards: lines that are too short, a plus sign, fields of blanks, days that are
not spelled YYYY-MM-DD. Where anything of that is there, or may be, the strict way is taken.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from raypipe.core.errors import RaypipeError
from raypipe.lake.write.cuts import RECORDS
from raypipe.lake.write.scan_bytes import as_bytes, count
from raypipe.lake.write.where import BOM, as_table_frame, bad_utf8_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Strict = Callable[[bytes, list[str]], pa.Table]

_SMALL = 64 * 1024
"""Bytes that are read strictly to learn types; of a text that is not much longer, all."""

_KNOWN = (pl.Int64(), pl.Float64(), pl.String(), pl.Boolean(), pl.Date(), pl.Null())
_COMMA, _BLANK, _LINE = b", \n"
_ENDS = np.isin(np.arange(256), list(b',\n"'))
_STEP = 1 << 20


def quick_csv(
    data: bytes, header: list[str], texts: list[str], quoted: bool, strict: Strict
) -> pl.DataFrame | None:
    """What the strict way makes of a text, or None where that cannot be told so quickly.

    Args:
        data: the text; quotes stand at the ends of fields only.
        header: the names of its columns.
        texts: the columns that are to be text.
        quoted: whether there are quotes.
        strict: the strict reader.
    """
    start = data.find(b"\n") + 1
    if len(data) < 4 * _SMALL or len(header) < 2 or start < 2 or data.startswith(BOM):
        return None
    if b"\r" in data or b"\0" in data or b'"' in data[:start] or bad_utf8_line(data) is not None:
        return None
    try:
        types = dict(as_table_frame(strict(_some(data, quoted), texts)).schema)
        if list(types) != header or not all(dtype in _KNOWN for dtype in types.values()):
            return None
        as_read = (pl.Date, pl.Null)
        plain = {n: pl.String() if isinstance(t, as_read) else t for n, t in types.items()}
        frame = pl.read_csv(data, schema=plain, null_values=["NA"], glob=False)
        if not frame.height or not _same(data, start, frame, quoted):
            return None
        return _with_types(frame, types)
    except (RaypipeError, pa.ArrowException, pl.exceptions.PolarsError):
        return None  # the strict way says what is wrong, if anything is
    except pl.exceptions.PanicException:
        return None


def _some(data: bytes, quoted: bool) -> bytes:
    """The first records; and some of the middle and the end, where line ends cannot be quoted."""
    if quoted:
        found = RECORDS.match(data[:_SMALL])
        return data[: found.end() if found else 0]
    some = data[: data.rfind(b"\n", 0, _SMALL) + 1]
    for start in (len(data) // 2, len(data) - _SMALL):
        piece = data[start : start + _SMALL]
        some += piece[piece.find(b"\n") + 1 : piece.rfind(b"\n") + 1]
    return some


def _same(data: bytes, start: int, frame: pl.DataFrame, quoted: bool) -> bool:
    """Whether fields and numbers are those that the strict way finds."""
    numbers = [n for n, t in frame.schema.items() if not isinstance(t, pl.String)]
    if b"+" in data and any(plus in data for plus in (b",+", b"\n+", b'"+')):
        return False
    if any(frame[n].null_count() for n in numbers) and _has_blank_field(as_bytes(data)):
        return False
    if not frame[frame.columns[-1]].null_count():
        return True  # a line that is too short has none there; one that is too long is an error
    (commas,) = count(as_bytes(data)[start:], _COMMA)
    if quoted:
        strings = [n for n, t in frame.schema.items() if isinstance(t, pl.String)]
        inside = frame.select(pl.col(strings).str.count_matches(",", literal=True).sum())
        commas -= sum(inside.row(0))
    return commas == frame.height * (frame.width - 1)


def _has_blank_field(text: NDArray[np.uint8]) -> bool:
    """Whether there is a field of blanks alone, which polars takes for no value."""
    for begin in range(0, len(text), _STEP):
        piece = text[begin : begin + _STEP + 1]
        at = np.flatnonzero(_ENDS[piece[:-1]] & (piece[1:] <= _BLANK) & (piece[1:] != _LINE))
        at += begin + 1
        while len(at):
            at = at[at < len(text)]
            after = text[at]
            if _ENDS[after].any() or (len(at) and at[-1] == len(text) - 1):
                return True
            at = at[after <= _BLANK] + 1
    return False


def _with_types(frame: pl.DataFrame, types: dict[str, pl.DataType]) -> pl.DataFrame | None:
    """The frame with days and empty columns; None where a value is none."""
    moved: list[pl.Series] = []
    for name, dtype in types.items():
        column = frame[name]
        if isinstance(dtype, pl.Null):
            if column.null_count() < len(column):
                return None
            column = pl.Series(name, [None] * 1, dtype=pl.Null).new_from_index(0, len(column))
        elif isinstance(dtype, pl.Date):
            days = read_days(column)
            if days is None:
                return None
            column = days
        elif isinstance(dtype, pl.String) and (column == "").any():
            column = column.replace("", None)
        moved.append(column)
    return pl.DataFrame(moved)


def read_days(column: pl.Series) -> pl.Series | None:
    """Texts as days, if each is a day of the calendar spelled YYYY-MM-DD; None otherwise."""
    there = column.drop_nulls().rechunk()
    views = there.to_arrow(compat_level=pl.CompatLevel.newest())
    buffer = views.buffers()[1] if pa.types.is_string_view(views.type) else None
    if not len(views) or buffer is None:
        return None
    # A view is its length and, of up to 12 bytes, the text itself: three words of four bytes.
    words = np.frombuffer(buffer, dtype="<u4").reshape(-1, 4)
    words = words[views.offset : views.offset + len(views)]
    year, month, day = (np.ascontiguousarray(words[:, k]) for k in (1, 2, 3))
    spelled = (
        (words[:, 0] == 10).all()
        and _digits(year, 0xFFFFFFFF)
        and (month & 0xFF0000FF == 0x2D00002D).all()
        and _digits(month, 0x00FFFF00)
        and _digits(day, 0x0000FFFF)
    )
    if not spelled:
        return None
    months = (month >> 8 & 15) * 10 + (month >> 16 & 15)
    years = (year & 15) * 1000 + (year >> 8 & 15) * 100 + (year >> 16 & 15) * 10 + (year >> 24 & 15)
    at, number = years * 12 + months - 1, (day & 15) * 10 + (day >> 8 & 15)
    if not ((months >= 1) & (months <= 12) & (number >= 1)).all():
        return None
    firsts = _first_days()
    days = firsts[at] + (number - 1).astype(np.int32)
    if not (days < firsts[at + 1]).all():
        return None
    if len(views) == len(column):
        return pl.Series(column.name, days).cast(pl.Date)
    whole = np.zeros(len(column), dtype=np.int32)
    held = column.is_not_null()
    whole[held.to_numpy()] = days
    found = pl.Series(column.name, whole).cast(pl.Date)
    return found.to_frame().select(pl.when(held).then(pl.col(column.name))).to_series()


@lru_cache(maxsize=1)
def _first_days() -> NDArray[np.int32]:
    """The first day of each month of the years 0 to 9999, and of the next, since 1970."""
    months = np.arange(-1970 * 12, 8030 * 12 + 1).astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64).astype(np.int32)


def _digits(words: NDArray[np.uint32], mask: int) -> bool:
    """Whether the bytes under a mask are digits: 3x, and still 3x when 6 is added."""
    held = words & np.uint32(mask)
    high, wanted = np.uint32(0xF0F0F0F0 & mask), np.uint32(0x30303030 & mask)
    more = held + np.uint32(0x06060606 & mask)
    return bool((held & high == wanted).all() and (more & high == wanted).all())
