"""The types of a text file guessed from pieces of it, which nobody may rely upon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.errors import RaypipeError
from raypipe.lake.write.cuts import RECORDS
from raypipe.lake.write.read_csv import read_csv
from raypipe.lake.write.read_json import read_json
from raypipe.lake.write.where import BOM, Where

if TYPE_CHECKING:
    import polars as pl

BYTES = 64 * 1024
"""Of each piece."""


def sample_types(path: str, kind: str) -> dict[str, pl.DataType] | None:
    """The types that the values at the start, in the middle and at the end of a CSV or JSON file
    have together; None where that cannot be told.
    """
    try:
        data = _sample(path, kind)
        frame = (read_csv if kind == "csv" else read_json)(Where(path), data, [])
    except (RaypipeError, OSError, pa.ArrowException):
        return None
    return dict(frame.schema) or None


def _sample(path: str, kind: str) -> bytes:
    if path.endswith(".gz"):
        with pa.input_stream(path) as stream:
            return _head(bytes(stream.read(BYTES)), kind)
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        data = file.read(BYTES)
        if size <= BYTES:
            return data
        found = [_head(data, kind)]
        for start in (size // 2, size - BYTES):
            if start >= BYTES:
                file.seek(start)
                piece = file.read(BYTES)
                lines = piece[piece.find(b"\n") + 1 : piece.rfind(b"\n") + 1]
                if kind == "json" or b'"' not in lines:  # else a line end may be quoted
                    found.append(lines)
    return b"".join(found)


def _head(data: bytes, kind: str) -> bytes:
    """The whole records at a file's start."""
    if len(data) < BYTES:
        return data
    if kind == "json":
        return data[: data.rfind(b"}\n") + 2]
    skipped = len(BOM) if data.startswith(BOM) else 0
    found = RECORDS.match(data, skipped)
    return data[: found.end() if found else 0]
