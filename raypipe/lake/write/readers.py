"""One file into one frame, strictly: a line that does not fit is an error with its number."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from raypipe.core.errors import (
    ConfigError,
    MalformedSourceError,
    SchemaError,
    SourceNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMATS = {
    ".csv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
}
_NULLS = ["", "NA"]
_BOM = b"\xef\xbb\xbf"
_DEEPEST = 64  # levels of JSON; the parser underneath runs out of stack at some hundreds
# A CSV file as far as its quotes are right: bare text, a quote inside of a bare field (it stands
# for itself), or a quoted field that ends where the field ends. Possessive: no way back, no stack.
_QUOTED_WELL = re.compile(
    rb'(?:[^"]++|(?<=[^,\r\n])"|(?<![^,\r\n])"(?:[^"]++|"")*+"(?=[,\r\n]|\Z))*+'
)
# JSON lines that cannot be deep: each an object of its own, with few brackets of any kind.
_JSON_SHALLOW = re.compile(
    rb"(?:\s*+\{[^{\[\n]*+(?:[{\[][^{\[\n]*+){0,63}+(?:(?<=\})|(?<=\}\r)|(?<=\} ))(?:\n|\Z))*+\s*+"
)
# Strings end with their line, as they do for the parser.
_JSON_TOKEN = re.compile(rb'"(?:[^"\\\n]++|\\[^\n])*+"?|[{}\[\]\n]')
_BAD_VALUE = re.compile(
    r"CSV column #(\d+): CSV conversion error to .+?: invalid value '(.*)'", re.S
)


def format_of(path: str) -> str:
    """The format that a file's name tells (``.gz`` after a text format is understood).

    Raises:
        ConfigError: the name ends in nothing known.
    """
    pure = Path(path)
    suffix = Path(pure.stem).suffix if pure.suffix == ".gz" else pure.suffix
    found = FORMATS.get(suffix.lower())
    if found is None or (pure.suffix == ".gz" and found == "parquet"):
        raise ConfigError(
            "the name of a source does not tell its format",
            path,
            f"Use one of {', '.join(sorted(FORMATS))} (text formats also with .gz), "
            "or read it yourself and pass the frame.",
            "data",
        )
    return found


def read_file(path: str, types: Mapping[str, pl.DataType] | None = None) -> pl.DataFrame:
    """Reads a whole file.

    Of a text format, columns that ``types`` holds as strings are read as they stand ("007" stays
    "007"); all others get the type that all their values have. Empty and ``NA`` are null.

    Raises:
        SourceNotFoundError: the file is not there.
        MalformedSourceError: it does not parse; file, line and reason are in the message.
        SchemaError: a value of a CSV file is not of the type that ``types`` tells of its column.
    """
    kind = format_of(path)
    texts = [name for name, dtype in (types or {}).items() if isinstance(dtype, pl.String)]
    try:
        if kind == "parquet":
            return _read_parquet(path)
        data = _bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFoundError(
            "no such file", path, "Check the path; a relative one starts at the working folder."
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    if kind == "json":
        return _read_json(path, data, texts)
    frame = _read_csv(path, data, texts)
    _refuse_other_types(path, data, frame, types or {})
    return frame


def scan_file(path: str) -> pl.LazyFrame:
    """A file as a plan; of Parquet only what the plan needs is read when it is collected.

    Raises:
        SourceNotFoundError: the file is not there.
        MalformedSourceError: it does not parse; of Parquet that may come when it is collected.
    """
    if format_of(path) == "parquet" and Path(path).is_file():
        return pl.scan_parquet(path, glob=False, hive_partitioning=False)
    return read_file(path).lazy()


def file_types(path: str) -> dict[str, pl.DataType]:
    """The columns and types of a file; for Parquet only its footer is read.

    Raises:
        SourceNotFoundError: the file is not there.
        MalformedSourceError: it does not parse.
    """
    if format_of(path) == "parquet" and Path(path).is_file():
        try:
            return dict(pl.read_parquet_schema(path))
        except OSError as error:
            raise _unreadable(path, error) from error
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise _malformed(path, None, _first_line(error)) from error
    return dict(read_file(path).schema)


def _bytes(path: str) -> bytes:
    with pa.input_stream(path) as stream:  # opens .gz by its name
        return bytes(stream.read())


def _read_parquet(path: str) -> pl.DataFrame:
    if not Path(path).is_file():
        raise FileNotFoundError(path)
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _malformed(path, None, _first_line(error)) from error


def _read_csv(path: str, data: bytes, texts: list[str]) -> pl.DataFrame:
    header = _csv_header(path, data)
    if header is None:
        return pl.DataFrame()
    # A quote in the wrong place would swallow rows without a word.
    if b'"' in data:
        _refuse_bad_quotes(path, data)
    table = _parse_csv(path, data, texts)
    clocks = [field.name for field in table.schema if pa.types.is_time(field.type)]
    if clocks:  # a table has no time of day: it stays the text it was
        table = _parse_csv(path, data, [*texts, *clocks])
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise _malformed(path, *_bad_utf8(data, header))
    return _as_frame(table)


def _parse_csv(path: str, data: bytes, texts: list[str]) -> pa.Table:
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
        if reason is None and _bad_utf8_line(data) is not None:
            line, reason = _bad_utf8(data, _csv_header(path, data) or [])
        raise _malformed(path, line, reason or _first_line(error)) from error


def _csv_header(path: str, data: bytes) -> list[str] | None:
    start = data[: 1 << 20]
    reader = csv.reader(io.StringIO(_text(start)))
    try:
        row = next((row for row in reader if row), None)
    except csv.Error as error:
        reason = str(error)
        if "new-line character" in reason:
            reason = "a carriage return stands without a line feed"
        raise _malformed(path, max(reader.line_num, 1), reason) from error
    if row is None:
        return None
    bad = _bad_utf8_line(start)
    if bad is not None and bad <= reader.line_num and any("\ufffd" in name for name in row):
        raise _malformed(path, bad, "the header is not UTF-8")
    names = [name.removeprefix("\ufeff") for name in row]
    for name in names:
        if names.count(name) > 1 or not name:
            reason = f"the header names {name!r} twice" if name else "a column has no name"
            raise _malformed(path, 1, reason)
    return names


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _refuse_bad_quotes(path: str, data: bytes) -> None:
    plain = memoryview(data)[len(_BOM) if data.startswith(_BOM) else 0 :]
    found = _QUOTED_WELL.match(plain)
    end = found.end() if found else 0
    if end == len(plain):
        return
    # The field that starts there is never closed, or goes on after its quote.
    open_field = re.compile(rb'"(?:[^"]++|"")*+"?').match(plain, end)
    stop = open_field.end() if open_field else end
    closed = stop < len(plain)
    line = bytes(plain[: stop if closed else end]).count(b"\n") + 1
    reason = "text stands after a closing quote" if closed else "a quote is opened and never closed"
    raise _malformed(path, line, reason)


def _refuse_other_types(
    path: str, data: bytes, frame: pl.DataFrame, types: Mapping[str, pl.DataType]
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
                    f"{have}, with {found[2]!r} in line {line}",
                    "Correct the file, or cast the column before it is written.",
                    name,
                ) from None


def _line_of_value(data: bytes, index: int, value: str) -> int | None:
    reader = csv.reader(io.StringIO(_text(data)))
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
    reader = csv.reader(io.StringIO(_text(data)))
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
    line = _bad_utf8_line(data)
    reader = csv.reader(io.StringIO(data.decode("utf-8", errors="surrogateescape")))
    try:
        for row in reader:
            for name, text in zip(header, row, strict=False):
                if any("\udc80" <= char <= "\udcff" for char in text):
                    return line, f"column {name!r} is not UTF-8"
    except csv.Error:
        return line, "it is not UTF-8"
    return line, "it is not UTF-8"


def _bad_utf8_line(data: bytes) -> int | None:
    if data.isascii():
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return None


def _read_json(path: str, data: bytes, texts: list[str]) -> pl.DataFrame:
    from pyarrow import json as pj

    if not data.strip():
        return pl.DataFrame()
    bad = _bad_utf8_line(data)
    if bad is not None:
        raise _malformed(path, bad, "it is not UTF-8")
    _refuse_deep_json(path, data)
    try:
        table = pj.read_json(pa.BufferReader(data))
        # A key that no line has must stay missing, so only keys that are there are named.
        as_text = [n for n in table.column_names if n in texts and table.schema.field(n).type]
        moved = [n for n in as_text if pa.types.is_timestamp(table.schema.field(n).type)]
        if moved:
            schema = pa.schema([(name, pa.string()) for name in moved])
            options = pj.ParseOptions(explicit_schema=schema)
            table = pj.read_json(pa.BufferReader(data), parse_options=options)
        return _as_frame(table)
    except (
        pa.ArrowException,
        UnicodeDecodeError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        line, reason = _bad_json_line(data)
        raise _malformed(path, line, reason or _first_line(error)) from error


def _refuse_deep_json(path: str, data: bytes) -> None:
    """Too many levels end the process in the parser, without an exception."""
    shallow = _JSON_SHALLOW.match(data)
    if shallow and shallow.end() == len(data):
        return
    # Depth is counted over the lines, for an object may be spread over several, and from each
    # line's start, for the parser may begin at any line.
    over = here = 0
    line = 1
    for token in _JSON_TOKEN.finditer(data):
        mark = data[token.start()]
        if mark in b"{[":
            over, here = over + 1, here + 1
        elif mark in b"}]":
            over, here = max(over - 1, 0), max(here - 1, 0)
        elif mark == 10:
            line, here = line + 1, 0
        if max(over, here) > _DEEPEST:
            raise _malformed(path, line, f"values are nested more than {_DEEPEST} levels deep")


def _bad_json_line(data: bytes) -> tuple[int | None, str | None]:
    kinds: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            return number, str(error)
        if not isinstance(value, dict):
            return number, f"a {type(value).__name__} where an object is wanted"
        for key, item in value.items():
            kind = _kind(item)
            if kind and kinds.setdefault(key, (kind, number))[0] != kind:
                first = kinds[key]
                return number, f"{key!r} is {kind} here and {first[0]} in line {first[1]}"
    return None, None


def _kind(item: object) -> str | None:
    if item is None:
        return None
    names: dict[type, str] = {bool: "a bool", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(item), "a number")


def _as_frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]


def _malformed(path: str, line: int | None, reason: str) -> MalformedSourceError:
    where = path if line is None else f"{path}, line {line}"
    return MalformedSourceError(
        "a file does not parse", f"{where}: {reason}", "Nothing was written; correct the file."
    )


def _unreadable(path: str, error: Exception) -> MalformedSourceError:
    return MalformedSourceError(
        "a file cannot be read",
        f"{path}: {getattr(error, 'strerror', None) or _first_line(error)}",
        "Nothing was written; check that the file is whole and that you may read it.",
    )
