"""CSV into a frame, strictly: a line that does not fit is an error with its number."""

from __future__ import annotations

import csv
import io
import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from raypipe.core.errors import SchemaError
from raypipe.lake.write.quick_csv import quick_csv
from raypipe.lake.write.where import (
    BOM,
    as_table_frame,
    bad_utf8_line,
    first_line,
    lenient,
    malformed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.write.where import Where

_NULLS = ["", "NA"]
# A CSV file as far as its quotes are right: bare text, a quote inside of a bare field (it stands
# for itself), or a quoted field that ends where the field ends. Possessive: no way back, no stack.
QUOTED_WELL = re.compile(
    rb'(?:[^"]++|(?<=[^,\r\n])"|(?<![^,\r\n])"(?:[^"]++|"")*+"(?=[,\r\n]|\Z))*+'
)
_QUOTE = ord('"')
_ENDS = np.isin(np.arange(256), list(b",\r\n"))  # bytes beside which a field ends
_WHOLE = re.compile(r"[+-]?[0-9]+")
_BAD_VALUE = re.compile(
    r"CSV column #(\d+): CSV conversion error to .+?: invalid value '(.*)'", re.S
)


def read_csv(path: Where, data: bytes, texts: list[str]) -> pl.DataFrame:
    """A CSV text as a frame; ``texts`` are the columns that are read as they stand.

    Raises:
        MalformedSourceError: it does not parse.
    """
    header = _csv_header(path, data)
    if header is None:
        return pl.DataFrame()
    plain = memoryview(data)[len(BOM) if data.startswith(BOM) else 0 :]
    quoted = b'"' in data
    if not quoted or plainly_quoted(plain):
        quick = quick_csv(data, header, texts, quoted, partial(_parse_csv, path))
        if quick is not None:
            return quick
    else:  # a quote in the wrong place would swallow rows without a word
        _refuse_bad_quotes(path, plain)
    table = _parse_csv(path, data, texts)
    clocks = [field.name for field in table.schema if pa.types.is_time(field.type)]
    if clocks:  # a table has no time of day: it stays the text it was
        table = _parse_csv(path, data, [*texts, *clocks])
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise malformed(path, *_bad_utf8(data, header))
    return as_table_frame(table)


def _parse_csv(path: Where, data: bytes, texts: list[str]) -> pa.Table:
    from pyarrow import csv as pc

    try:
        return pc.read_csv(
            pa.BufferReader(data),
            read_options=pc.ReadOptions(use_threads=True),
            parse_options=pc.ParseOptions(newlines_in_values=b'"' in data),
            convert_options=pc.ConvertOptions(
                null_values=_NULLS,
                strings_can_be_null=True,
                column_types={name: pa.string() for name in texts},
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        line, reason = _bad_csv_line(data)
        if reason is None and bad_utf8_line(data) is not None:
            line, reason = _bad_utf8(data, _csv_header(path, data) or [])
        raise malformed(path, line, reason or first_line(error)) from error


def _csv_header(path: Where, data: bytes) -> list[str] | None:
    start = data[: 1 << 20]
    reader = csv.reader(io.StringIO(lenient(start)))
    try:
        row = next((row for row in reader if row), None)
    except csv.Error as error:
        reason = str(error)
        if "new-line character" in reason:
            reason = "a carriage return stands without a line feed"
        raise malformed(path, max(reader.line_num, 1), reason) from error
    if row is None:
        return None
    bad = bad_utf8_line(start)
    if bad is not None and bad <= reader.line_num and any("\ufffd" in name for name in row):
        raise malformed(path, bad, "the header is not UTF-8")
    names = [name.removeprefix("\ufeff") for name in row]
    for name in names:
        if names.count(name) > 1 or not name:
            reason = f"the header names {name!r} twice" if name else "a column has no name"
            raise malformed(path, 1, reason)
    return names


def plainly_quoted(data: memoryview) -> bool:
    """Whether quotes open and close in turn, each at an end of a field: the usual case, told in a
    third of the time that the whole rule takes. False says nothing.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    at = np.flatnonzero(text == _QUOTE)
    if len(at) % 2:
        return False
    opens, closes = at[::2], at[1::2]
    if len(opens) and opens[0] == 0:
        opens = opens[1:]
    if len(closes) and closes[-1] == len(text) - 1:
        closes = closes[:-1]
    return bool(_ENDS[text[opens - 1]].all() and _ENDS[text[closes + 1]].all())


def _refuse_bad_quotes(path: Where, plain: memoryview) -> None:
    found = QUOTED_WELL.match(plain)
    end = found.end() if found else 0
    if end == len(plain):
        return
    # The field that starts there is never closed, or goes on after its quote.
    open_field = re.compile(rb'"(?:[^"]++|"")*+"?').match(plain, end)
    stop = open_field.end() if open_field else end
    closed = stop < len(plain)
    line = bytes(plain[: stop if closed else end]).count(b"\n") + 1
    reason = "text stands after a closing quote" if closed else "a quote is opened and never closed"
    raise malformed(path, line, reason)


def refuse_other_types(
    path: Where, data: bytes, frame: pl.DataFrame, types: Mapping[str, pl.DataType]
) -> None:
    """Finds the value that gave a column another type than the table's, so as to name its line."""
    from pyarrow import csv as pc

    for name, have in frame.schema.items():
        want = types.get(name)
        if want is None or want.is_nested() or isinstance(want, pl.String | pl.Binary):
            continue
        if not (isinstance(have, pl.String) or (want.is_integer() and not have.is_integer())):
            continue
        try:
            pc.read_csv(
                pa.BufferReader(data),
                parse_options=pc.ParseOptions(newlines_in_values=b'"' in data),
                convert_options=pc.ConvertOptions(
                    null_values=_NULLS,
                    include_columns=[name],
                    column_types={name: pl.Series([], dtype=want).to_arrow().type},
                ),
            )
        except pa.ArrowInvalid as error:
            found = _BAD_VALUE.search(str(error))
            line = found and _line_of_value(data, int(found[1]), found[2])
            if found and line:
                raise SchemaError(
                    f"column {name!r} of {path} does not fit the table's type {want}",
                    f"{have}, with {found[2]!r} in line {path.line(line)}",
                    "Correct the file, or cast the column before it is written.",
                    name,
                ) from None


def refuse_rounded(path: Where, data: bytes, frame: pl.DataFrame) -> None:
    """A whole number that 64 bits cannot hold would become a rounded real one without a word."""
    for name in frame.columns:
        if not frame[name].dtype.is_float() or not (frame[name].abs() >= 2.0**63).any():
            continue
        texts = _parse_csv(path, data, [name]).column(name).to_pylist()
        for text in texts:
            if text is not None and _WHOLE.fullmatch(text.strip()) and abs(int(text)) >= 2**63:
                line = _line_of_value(data, frame.columns.index(name), text)
                raise SchemaError(
                    f"column {name!r} of {path} has a whole number beyond 64 bits",
                    f"{text!r}" + (f" in line {path.line(line)}" if line else ""),
                    "Declare the column as a string, or write the number with a decimal point.",
                    name,
                )


def _line_of_value(data: bytes, index: int, value: str) -> int | None:
    reader = csv.reader(io.StringIO(lenient(data)))
    start = 1
    try:
        for row in reader:
            if start > 1 and len(row) > index and row[index].strip() == value.strip():
                return start
            start = reader.line_num + 1
    except csv.Error:
        return None  # the message then names the column alone
    return None


def _bad_csv_line(data: bytes) -> tuple[int | None, str | None]:
    """The first line with another number of fields than the header, as the csv module counts."""
    reader = csv.reader(io.StringIO(lenient(data)))
    width, start = None, 1
    try:
        for row in reader:
            if row:
                width = width or len(row)
                if len(row) != width:
                    return start, f"{len(row)} fields where the header has {width}"
            start = reader.line_num + 1
    except csv.Error as error:
        return start, str(error)
    return None, None


def _bad_utf8(data: bytes, header: list[str]) -> tuple[int | None, str]:
    """The line that is not UTF-8, and the reason with the column's name."""
    line = bad_utf8_line(data)
    reader = csv.reader(io.StringIO(data.decode("utf-8", errors="surrogateescape")))
    try:
        for row in reader:
            for name, text in zip(header, row, strict=False):
                if any("\udc80" <= char <= "\udcff" for char in text):
                    return line, f"column {name!r} is not UTF-8"
    except csv.Error:
        return line, "it is not UTF-8"
    return line, "it is not UTF-8"


def csv_column_type(path: str, name: str) -> pl.DataType:
    """The type that all values of one column of a file have."""
    from pyarrow import csv as pc

    table = pc.read_csv(
        path,
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            null_values=_NULLS, strings_can_be_null=True, include_columns=[name]
        ),
    )
    kind = as_table_frame(table).schema[name]
    return pl.String() if isinstance(kind, pl.Time) else kind
