"""One file into one frame, strictly: a line that does not fit is an error with its number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from raypipe.core.errors import (
    ConfigError,
    SourceNotFoundError,
)
from raypipe.lake.write.cuts import RECORD
from raypipe.lake.write.read_csv import (
    csv_column_type,
    read_csv,
    refuse_other_types,
    refuse_rounded,
)
from raypipe.lake.write.read_json import read_json
from raypipe.lake.write.where import BOM, Where, as_table_frame, first_line, malformed, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.write.cuts import Span

FORMATS = {
    ".csv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".orc": "orc",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_BINARY = ("parquet", "orc", "arrow")
_HEADER_BYTES = 1 << 20


def format_of(path: str) -> str:
    """The format that a file's name tells (``.gz`` after a text format is understood).

    Raises:
        ConfigError: the name ends in nothing known.
    """
    pure = Path(path)
    suffix = Path(pure.stem).suffix if pure.suffix == ".gz" else pure.suffix
    found = FORMATS.get(suffix.lower())
    if found is None or (pure.suffix == ".gz" and found in _BINARY):
        raise ConfigError(
            "the name of a source does not tell its format",
            path,
            f"Use one of {', '.join(sorted(FORMATS))} (text formats also with .gz), "
            "or read it yourself and pass the frame.",
            "data",
        )
    return found


def read_file(
    path: str, types: Mapping[str, pl.DataType] | None = None, span: Span | None = None
) -> pl.DataFrame:
    """Reads a file, or a piece of it: bytes of a text file, rows of a Parquet file.

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
        if kind in _BINARY:
            return _read_binary(path, kind, span)
        where, data = _text_piece(path, kind, span)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFoundError(
            "no such file", path, "Check the path; a relative one starts at the working folder."
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    if kind == "json":
        return read_json(where, data, texts)
    frame = read_csv(where, data, texts)
    refuse_other_types(where, data, frame, types or {})
    refuse_rounded(where, data, frame)
    return frame


def _text_piece(path: str, kind: str, span: Span | None) -> tuple[Where, bytes]:
    if span is None:
        with pa.input_stream(path) as stream:  # opens .gz by its name
            return Where(path), bytes(stream.read())
    with Path(path).open("rb") as file:
        head = b""
        if kind == "csv" and span[0]:
            head = header_of(file.read(_HEADER_BYTES))
        file.seek(span[0])
        return Where(path, span[0], head.count(b"\n")), head + file.read(span[1] - span[0])


def header_of(start: bytes) -> bytes:
    """The header's own lines, from the first bytes of a CSV file."""
    plain = start.removeprefix(BOM).lstrip(b"\r\n")
    found = RECORD.match(plain)
    return plain[: found.end()] if found else b""


def scan_file(path: str, span: Span | None = None) -> pl.LazyFrame:
    """A file as a plan; of Parquet only what the plan needs is read when it is collected.

    Raises:
        SourceNotFoundError: the file is not there.
        MalformedSourceError: it does not parse; of Parquet that may come when it is collected.
    """
    if format_of(path) == "parquet" and Path(path).is_file():
        plan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        return plan if span is None else plan.slice(span[0], span[1] - span[0])
    return read_file(path, span=span).lazy()


def file_types(path: str, span: Span | None = None) -> dict[str, pl.DataType]:
    """The columns and types of a file; for Parquet only its footer is read.

    Raises:
        SourceNotFoundError: the file is not there.
        MalformedSourceError: it does not parse.
    """
    if format_of(path) == "parquet" and Path(path).is_file():
        try:
            return dict(pl.read_parquet_schema(path))
        except OSError as error:
            raise unreadable(path, error) from error
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise malformed(path, None, first_line(error)) from error
    return dict(read_file(path, span=span).schema)


def _read_binary(path: str, kind: str, span: Span | None) -> pl.DataFrame:
    if not Path(path).is_file():
        raise FileNotFoundError(path)
    try:
        if kind == "arrow":
            return pl.read_ipc(path)
        if kind == "orc":
            from pyarrow import orc

            return as_table_frame(orc.read_table(path))
        if span is not None:
            return scan_file(path, span).collect()
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise malformed(path, None, first_line(error)) from error


def meet_of_pieces(path: str, found: Sequence[Mapping[str, pl.DataType]]) -> dict[str, pl.DataType]:
    """The types of a text file from those of its pieces: what one reading of the whole would tell.

    Raises:
        MalformedSourceError: no reading of the whole would do.
    """
    met: dict[str, pl.DataType] = {}
    for name in dict.fromkeys(name for types in found for name in types):
        kinds = {types[name] for types in found if name in types} - {pl.Null()}
        if len(kinds) < 2:
            met[name] = next(iter(kinds), pl.Null())
        elif all(kind.is_numeric() for kind in kinds):
            met[name] = pl.Float64()
        elif format_of(path) == "csv":
            met[name] = csv_column_type(path, name)
        else:
            met[name] = dict(read_file(path).schema)[name]
    return met
