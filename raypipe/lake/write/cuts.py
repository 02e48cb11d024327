"""Where large files are cut, so that parts can be read apart and are together the whole file."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

Span = tuple[int, int]
"""From where to where: bytes of a text file, or rows of a Parquet file."""

PART_BYTES = 64 * 2**20
"""Bytes of text in a part; parsed, they take three to five times as many in memory."""

PARQUET_PART_BYTES = 512 * 2**20
"""Bytes of a Parquet part in memory, as far as the footer knows them."""

_CHUNK = 8 * 2**20
# Whole records of a CSV file whose quotes are right, as ``readers`` judges quotes. A quoted field
# may hold line ends; the record ends at the first line end outside of quotes.
_ONE = rb'(?:(?:[^"\n]++|(?<=[^,\r\n])"|(?<![^,\r\n])"(?:[^"]++|"")*+"(?=[,\r\n]))*+\n)'
RECORD = re.compile(_ONE)
RECORDS = re.compile(_ONE + rb"*+")
_BOM = b"\xef\xbb\xbf"
# In valid JSON a line end between a closing and an opening brace lies between two objects.
_BETWEEN_OBJECTS = re.compile(rb"\}[ \t\r]*+\n(?=\s*+\{)")


def csv_spans(path: str, size: int, part_bytes: int) -> list[Span]:
    """Byte ranges of a CSV file, each a number of whole records; the first holds the header.

    The file is read once, since only from its start can be told whether a line end is quoted.
    Where quotes are not right no more cut is made: who reads that part says what is wrong.
    """
    spans: list[Span] = []
    begin = 0
    with Path(path).open("rb") as file:
        while size - begin > part_bytes * 3 // 2:
            end = _last_record(file, begin, part_bytes)
            if end is None:
                break
            spans.append((begin, end))
            begin = end
    return [*spans, (begin, size)] if begin < size or not spans else spans


def _last_record(file: BinaryIO, begin: int, part_bytes: int) -> int | None:
    """The end of the last whole record within a part's bytes; None where there is none."""
    file.seek(begin)
    data = file.read(part_bytes)
    if b'"' not in data:
        end = data.rfind(b"\n") + 1
        return begin + end if end else None
    # A mark of the byte order is no text: the quote after it opens a field.
    skipped = len(_BOM) if not begin and data.startswith(_BOM) else 0
    found = RECORDS.match(memoryview(data)[skipped:])
    end = found.end() if found else 0
    return begin + skipped + end if end else None


def json_spans(path: str, size: int, part_bytes: int) -> list[Span]:
    """Byte ranges of a file of JSON objects, each a number of whole objects."""
    spans: list[Span] = []
    begin = 0
    with Path(path).open("rb") as file:
        while size - begin > part_bytes * 3 // 2:
            end = _next_object(file, begin + part_bytes, size)
            if end is None:
                break
            spans.append((begin, end))
            begin = end
    return [*spans, (begin, size)]


def _next_object(file: BinaryIO, start: int, size: int) -> int | None:
    """The first place between two objects at or after ``start``; None where there is none."""
    window = start
    while window < size:
        file.seek(window)
        data = file.read(2 * _CHUNK)
        found = _BETWEEN_OBJECTS.search(data)
        if found:
            return window + found.end()
        window += _CHUNK
    return None


def row_spans(group_rows: list[int], group_bytes: list[int], part_bytes: int) -> list[Span]:
    """Row ranges (from, to) of a Parquet file: whole row groups up to a part's bytes; a row group
    larger than that is cut evenly.
    """
    spans: list[Span] = []
    begin = row = held = 0
    for rows, nbytes in zip(group_rows, group_bytes, strict=True):
        if row > begin and held + nbytes > part_bytes:
            spans.append((begin, row))
            begin, held = row, 0
        pieces = -(-nbytes // part_bytes)
        if pieces > 1 and rows:
            step = max(1, -(-rows // pieces))
            cuts = [*range(row, row + rows, step), row + rows]
            spans += itertools.pairwise(cuts)
            begin = row = row + rows
            continue
        row, held = row + rows, held + nbytes
    return [*spans, (begin, row)] if row > begin or not spans else spans
