"""JSON lines the quick way, where that gives exactly what the strict way gives.

polars reads flat objects twice as fast as the strict reader does, but it leaves out keys that it
was not told of, takes the first of two equal keys, and turns any value of a text column into text.
None of that can have happened when the text has as many colons and quotes as the rows that came
out of it need. With r rows of K columns, without a null and without a backslash:

- each row has all K keys, so the number of pairs is r K if and only if there is no other one; a
  pair has one colon, and all other colons stand in keys and values that are known;
- each key and each text has two quotes, so a text column holds nothing but texts if and only if
  there are 2 (r K + texts) quotes.

Rows with a null or a backslash are read by the strict reader beside, and left out of the counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from raypipe.lake.write.scan_bytes import as_bytes, count, positions
from raypipe.lake.write.where import as_table_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Strict = Callable[[bytes, list[str]], tuple[pa.Table, bool]]

_SMALL = 64 * 1024
"""Bytes that are read strictly to learn types; of a text that is not much longer, all."""

_BLANK, _POINT = b" ."
_BEFORE_MINUS = [before + 256 * ord("-") for before in b": "]
_STEP = 1 << 16
_ODD_SHARE = 4  # with more than one odd row of so many, the strict way is as quick
_ARROW = {
    pl.Int64(): pa.int64(),
    pl.Float64(): pa.float64(),
    pl.String(): pa.string(),
    pl.Boolean(): pa.bool_(),
}
_QUOTE, _COLON, _MINUS, _ZERO, _BACKSLASH, _LINE = b'":-0\\\n'


def quick_json(data: bytes, texts: list[str], strict: Strict) -> pl.DataFrame | None:
    """What the strict way makes of UTF-8 text, or None where that cannot be told so quickly.

    Args:
        data: the text.
        texts: the columns that are to be text.
        strict: the strict reader; it also tells whether it read ``texts`` as such from the start.
    """
    if len(data) < 4 * _SMALL:
        return None
    try:
        types = _types(data, texts, strict)
        if types is None:
            return None
        plain = {n: pl.String() if isinstance(t, pl.Datetime) else t for n, t in types.items()}
        frame = pl.read_ndjson(data, schema=plain)
        if not _same(data, frame):
            return None
        times = [n for n, t in types.items() if isinstance(t, pl.Datetime)]
        for name in times:
            column = frame[name].to_arrow(compat_level=pl.CompatLevel.oldest())
            moved = as_table_frame(pa.table({name: column.cast(pa.timestamp("s"))}))
            if moved[name].dtype != types[name]:
                return None
            frame = frame.with_columns(moved[name])
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None  # the strict way says what is wrong, if anything is
    return frame


def _types(data: bytes, texts: list[str], strict: Strict) -> dict[str, pl.DataType] | None:
    """The columns in their order, with the types that they have if all values are of them.

    A reader tries one type after the other until all values have it, so types that some values do
    not have are none of all.
    """
    head = data[: data.rfind(b"\n", 0, _SMALL) + 1]
    some = head
    for start in (len(data) // 2, len(data) - _SMALL):
        piece = data[start : start + _SMALL]
        some += piece[piece.find(b"\n") + 1 : piece.rfind(b"\n") + 1]
    first, _ = strict(head, texts)
    table, as_texts = strict(some, texts)
    if table.column_names != first.column_names or (texts and not as_texts):
        return None  # keys may come in another order, or not at all
    lines = [line for line in some.split(b"\n") if line]
    odd = max([sum(b"\\" in line for line in lines), *(c.null_count for c in table.columns)])
    if odd * _ODD_SHARE > len(lines):
        return None  # most probably it would be read in vain
    types = dict(as_table_frame(table).schema)
    known = all(t in _ARROW or isinstance(t, pl.Datetime) for t in types.values())
    return types if known and types else None


def _same(data: bytes, frame: pl.DataFrame) -> bool:
    """Whether a frame is what the strict way makes of the text."""
    text = as_bytes(data)
    if not frame.height or _may_be_nested(data, frame):
        return False
    blanks = b"\t" in data or b"\r" in data
    if _has_zero(frame) and (blanks or _may_have_minus_zero(text)):
        return False  # which is a whole number for one reader and none for the other
    quotes, colons = count(text, _QUOTE, _COLON)
    clean = frame
    odd = _odd_rows(data, text, frame)
    if odd is not None and odd.any():
        if odd.sum() * _ODD_SHARE > frame.height:
            return False
        lines = _lines(text, odd)
        if lines is None or not _same_strictly(lines, frame.filter(pl.Series(odd))):
            return False
        less_quotes, less_colons = count(as_bytes(lines), _QUOTE, _COLON)
        quotes, colons = quotes - less_quotes, colons - less_colons
        clean = frame.filter(pl.Series(~odd))
    pairs = clean.height * clean.width
    strings = [name for name, dtype in clean.schema.items() if isinstance(dtype, pl.String)]
    if quotes != 2 * (pairs + clean.height * len(strings)):
        return False
    colons -= clean.height * sum(name.count(":") for name in clean.columns)
    # There are pairs of each key in each row, so once no more colons are left there is no other.
    for name in sorted(strings, key=lambda name: -clean[name].estimated_size()):
        if colons <= pairs:
            break
        colons -= int(clean[name].str.count_matches(":", literal=True).sum())
    return colons == pairs


def _may_be_nested(data: bytes, frame: pl.DataFrame) -> bool:
    """A list or an object where text belongs became text."""
    strings = [pl.col(n) for n, t in frame.schema.items() if isinstance(t, pl.String)]
    marks = "[{" if b"[" in data else "{"
    opens = [s.str.starts_with(mark).any() for s in strings for mark in marks]
    return bool(opens) and bool(frame.select(pl.any_horizontal(opens)).item())


def _has_zero(frame: pl.DataFrame) -> bool:
    numbers = [pl.col(n) for n, t in frame.schema.items() if t.is_numeric()]
    zeros = [(number == 0).any() for number in numbers]
    return bool(zeros) and bool(frame.select(pl.any_horizontal(zeros)).item())


def _may_have_minus_zero(text: NDArray[np.uint8]) -> bool:
    """Whether a value may be -0, or begin so without a point: after a colon or a blank."""
    for begin in range(0, len(text), _STEP):
        piece = text[begin : begin + _STEP + 2]
        # Two bytes at once: few texts have a minus after a colon or a blank at all.
        pairs = (piece[k : k + (len(piece) - k) // 2 * 2].view("<u2") for k in (0, 1))
        if not any((both == mark).any() for both in pairs for mark in _BEFORE_MINUS):
            continue
        at = np.flatnonzero((piece[1:-1] == _MINUS) & (piece[2:] == _ZERO))
        at = at[(piece[at] == _COLON) | (piece[at] <= _BLANK)] + begin + 3
        if (text[at[at < len(text)]] != _POINT).any():
            return True
    return False


def _odd_rows(
    data: bytes, text: NDArray[np.uint8], frame: pl.DataFrame
) -> NDArray[np.bool_] | None:
    """Which rows have a null, or a backslash in their line; None for no row."""
    holes = [name for name in frame.columns if frame[name].null_count()]
    escapes = positions(text, _BACKSLASH) if b"\\" in data else None
    if not holes and escapes is None:
        return None
    odd = np.zeros(frame.height, dtype=np.bool_)
    if holes:
        odd |= frame.select(pl.any_horizontal(pl.col(holes).is_null())).to_series().to_numpy()
    if escapes is not None:
        lines = np.searchsorted(positions(text, _LINE), escapes)
        odd[lines[lines < frame.height]] = True
    return odd


def _lines(text: NDArray[np.uint8], odd: NDArray[np.bool_]) -> bytes | None:
    """The lines of these rows; None where rows and lines are not the same."""
    ends = positions(text, _LINE)
    if not len(ends) or ends[-1] != len(text) - 1:
        ends = np.append(ends, len(text))
    if len(ends) != len(odd):
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    numbers = np.flatnonzero(odd)
    view = text.data
    return b"\n".join(view[a:b] for a, b in zip(starts[numbers], ends[numbers], strict=True))


def _same_strictly(lines: bytes, rows: pl.DataFrame) -> bool:
    """Whether the strict reader makes these rows of these lines."""
    from pyarrow import json as pj

    schema = pa.schema([(name, _ARROW[dtype]) for name, dtype in rows.schema.items()])
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    read = as_table_frame(pj.read_json(pa.BufferReader(lines), parse_options=options))
    return read.schema == rows.schema and read.equals(rows, null_equal=True)
