"""Lines of JSON objects into a frame, strictly."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from raypipe.lake.write.quick_json import quick_json
from raypipe.lake.write.where import as_table_frame, bad_utf8_line, first_line, malformed

if TYPE_CHECKING:
    from raypipe.lake.write.where import Where

_DEEPEST = 64  # levels of JSON; the parser underneath runs out of stack at some hundreds
# JSON lines that cannot be deep: each an object of its own, with few brackets of any kind.
_JSON_SHALLOW = re.compile(
    rb"(?:\s*+\{[^{\[\n]*+(?:[{\[][^{\[\n]*+){0,63}+(?:(?<=\})|(?<=\}\r)|(?<=\} ))(?:\n|\Z))*+\s*+"
)
# Strings end with their line, as they do for the parser.
_JSON_TOKEN = re.compile(rb'"(?:[^"\\\n]++|\\[^\n])*+"?|[{}\[\]\n]')


def read_json(path: Where, data: bytes, texts: list[str]) -> pl.DataFrame:
    """Lines of objects as a frame; ``texts`` are the columns whose times stay text.

    Raises:
        MalformedSourceError: they do not parse.
    """
    if not data or data.isspace():
        return pl.DataFrame()
    bad = bad_utf8_line(data)
    if bad is not None:
        raise malformed(path, bad, "it is not UTF-8")
    quick = quick_json(data, texts, _with_texts)
    if quick is not None:
        return quick
    _refuse_deep_json(path, data)
    try:
        return as_table_frame(_with_texts(data, texts)[0])
    except (
        pa.ArrowException,
        UnicodeDecodeError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        line, reason = _bad_json_line(path, data)
        raise malformed(path, line, reason or first_line(error)) from error


def _with_texts(data: bytes, texts: list[str]) -> tuple[pa.Table, bool]:
    """The parser takes text that looks like a time for a time unless it is told of the column.

    Returns:
        The rows; and whether it could be told of all of the columns before it began.
    """
    from pyarrow import json as pj

    if texts:
        schema = pa.schema([(name, pa.string()) for name in texts])
        options = pj.ParseOptions(explicit_schema=schema)
        try:
            table = pj.read_json(pa.BufferReader(data), parse_options=options)
        except pa.ArrowException:
            table = None  # what is no text is judged by its own type
        # A key that no line has must stay missing, and this does not tell it from nulls.
        if table is not None and all(table[n].null_count < table.num_rows for n in texts):
            return table, True
    table = pj.read_json(pa.BufferReader(data))
    kinds = {field.name: field.type for field in table.schema}
    moved = [n for n in texts if n in kinds and pa.types.is_timestamp(kinds[n])]
    if not moved:
        return table, False
    options = pj.ParseOptions(explicit_schema=pa.schema([(name, pa.string()) for name in moved]))
    return pj.read_json(pa.BufferReader(data), parse_options=options), False


def plainly_shallow(data: bytes) -> bool:
    """Whether each object starts a line right after the end of the one before, and none has more
    brackets than levels are allowed: the usual case, told fast. False says nothing.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    opens = np.flatnonzero((text | 32) == ord("{"))  # a "[" differs from it by one bit
    if not len(opens) or opens[0] != 0 or text[0] != ord("{"):
        return False
    inner = opens[opens >= 2]
    starts = (
        (text[inner] == ord("{")) & (text[inner - 1] == ord("\n")) & (text[inner - 2] == ord("}"))
    )
    skipped = len(opens) - len(inner)
    at = np.concatenate([[0], np.flatnonzero(starts) + skipped, [len(opens)]])
    return bool(np.diff(at).max() <= _DEEPEST)


def _refuse_deep_json(path: Where, data: bytes) -> None:
    """Too many levels end the process in the parser, without an exception."""
    if plainly_shallow(data):
        return
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
            raise malformed(path, line, f"values are nested more than {_DEEPEST} levels deep")


def _bad_json_line(path: Where, data: bytes) -> tuple[int | None, str | None]:
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
                return (
                    number,
                    f"{key!r} is {kind} here and {first[0]} in line {path.line(first[1])}",
                )
    return None, None


def _kind(item: object) -> str | None:
    if item is None:
        return None
    names: dict[type, str] = {bool: "a bool", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(item), "a number")
