"""One file into one frame, strictly: a line that does not fit is an error with its number."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from raypipe.core.errors import ConfigError, MalformedSourceError, SourceNotFoundError

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
    """
    kind = format_of(path)
    texts = [name for name, dtype in (types or {}).items() if isinstance(dtype, pl.String)]
    try:
        if kind == "parquet":
            return _read_parquet(path)
        data = _bytes(path)
    except FileNotFoundError:
        raise SourceNotFoundError(
            "no such file", path, "Check the path; a relative one starts at the working folder."
        ) from None
    except OSError as error:
        raise MalformedSourceError("a file cannot be read", f"{path}: {error}") from error
    return _read_csv(path, data, texts) if kind == "csv" else _read_json(path, data, texts)


def file_types(path: str) -> dict[str, pl.DataType]:
    """The columns and types of a file; for Parquet only its footer is read.

    Raises:
        SourceNotFoundError: the file is not there.
        MalformedSourceError: it does not parse.
    """
    if format_of(path) == "parquet" and Path(path).is_file():
        try:
            return dict(pl.read_parquet_schema(path))
        except pl.exceptions.PolarsError as error:
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
    except pl.exceptions.PolarsError as error:
        raise _malformed(path, None, _first_line(error)) from error


def _read_csv(path: str, data: bytes, texts: list[str]) -> pl.DataFrame:
    header = _csv_header(path, data)
    if header is None:
        return pl.DataFrame()
    # An open quote would swallow the rest of the file without a word. Counting is cheap; only an
    # odd count is looked at closely, since a quote inside of a bare field stands for itself.
    if data.count(b'"') % 2:
        _refuse_open_quote(path, data)
    table = _parse_csv(path, data, texts)
    clocks = [field.name for field in table.schema if pa.types.is_time(field.type)]
    if clocks:  # a table has no time of day: it stays the text it was
        table = _parse_csv(path, data, [*texts, *clocks])
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise _malformed(path, _bad_utf8_line(data), f"column {field.name!r} is not UTF-8")
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
    except pa.ArrowInvalid as error:
        line, reason = _bad_csv_line(data)
        raise _malformed(path, line, reason or _first_line(error)) from error


def _csv_header(path: str, data: bytes) -> list[str] | None:
    for row in csv.reader(io.StringIO(_text(data[: 1 << 20]))):
        if row:
            break
    else:
        return None
    names = [name.removeprefix("\ufeff") for name in row]
    for name in names:
        if names.count(name) > 1 or not name:
            reason = f"the header names {name!r} twice" if name else "a column has no name"
            raise _malformed(path, 1, reason)
    return names


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _refuse_open_quote(path: str, data: bytes) -> None:
    reader = csv.reader(io.StringIO(_text(data)), strict=True)
    line = 1
    try:
        for _ in reader:
            line = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise _malformed(path, line, "a quote is opened and never closed") from error
        # Anything else is a matter of taste between parsers; Arrow's word counts.


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


def _bad_utf8_line(data: bytes) -> int | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return None


def _read_json(path: str, data: bytes, texts: list[str]) -> pl.DataFrame:
    from pyarrow import json as pj

    if not data.strip():
        return pl.DataFrame()
    try:
        table = pj.read_json(pa.BufferReader(data))
        # A key that no line has must stay missing, so only keys that are there are named.
        as_text = [n for n in table.column_names if n in texts and table.schema.field(n).type]
        moved = [n for n in as_text if pa.types.is_timestamp(table.schema.field(n).type)]
        if moved:
            schema = pa.schema([(name, pa.string()) for name in moved])
            options = pj.ParseOptions(explicit_schema=schema)
            table = pj.read_json(pa.BufferReader(data), parse_options=options)
    except pa.ArrowInvalid as error:
        line, reason = _bad_json_line(data)
        raise _malformed(path, line, reason or _first_line(error)) from error
    return _as_frame(table)


def _bad_json_line(data: bytes) -> tuple[int | None, str | None]:
    kinds: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
        except ValueError as error:
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


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _malformed(path: str, line: int | None, reason: str) -> MalformedSourceError:
    where = path if line is None else f"{path}, line {line}"
    return MalformedSourceError(
        "a file does not parse", f"{where}: {reason}", "Nothing was written; correct the file."
    )
