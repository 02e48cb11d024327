"""A piece of a text file, and the errors that name it by the file and its true lines."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import MalformedSourceError

if TYPE_CHECKING:
    import pyarrow as pa

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Where:
    """A piece of a text file, as messages name it: by the file and its true lines.

    Attributes:
        path: the file.
        begin: the byte of the file at which the piece starts.
        head: how many lines of a header stand before the piece, which are not there in the file.
    """

    path: str
    begin: int = 0
    head: int = 0

    def line(self, number: int) -> int:
        """The file's line for a line of the piece; it counts the lines before."""
        if not self.begin or number <= self.head:
            return number
        before, left = 0, self.begin
        with Path(self.path).open("rb") as file:
            while left and (chunk := file.read(min(left, 1 << 24))):
                before, left = before + chunk.count(b"\n"), left - len(chunk)
        return number - self.head + before

    def __str__(self) -> str:
        return self.path


def malformed(path: Where | str, line: int | None, reason: str) -> MalformedSourceError:
    """The error for a text that does not parse, with the file's true line."""
    if line is not None and isinstance(path, Where):
        line = path.line(line)
    where = str(path) if line is None else f"{path}, line {line}"
    return MalformedSourceError(
        "a file does not parse", f"{where}: {reason}", "Nothing was written; correct the file."
    )


def unreadable(path: str, error: Exception) -> MalformedSourceError:
    """The error for a file that the system, or its compression, does not give."""
    return MalformedSourceError(
        "a file cannot be read",
        f"{path}: {getattr(error, 'strerror', None) or first_line(error)}",
        "Nothing was written; check that the file is whole and that you may read it.",
    )


def first_line(error: BaseException) -> str:
    """The first line of a message."""
    return str(error).split("\n", 1)[0]


def as_table_frame(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as a frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def lenient(data: bytes) -> str:
    """Bytes as text, whatever they are."""
    return data.decode("utf-8", errors="replace")


def _is_utf8(data: bytes) -> bool:
    """Without a copy, and without keeping other threads from their work."""
    import pyarrow as pa

    ends = pa.py_buffer(struct.pack("=2q", 0, len(data)))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(data)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def bad_utf8_line(data: bytes) -> int | None:
    """The first line that is not UTF-8, if there is one."""
    if data.isascii() or _is_utf8(data):
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return None
