"""What the commands share: exit codes, the lake argument, tables and JSON on standard output."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from raypipe.lake import Lake

OK = 0
SYSTEM = 1
USER = 2
INTERRUPTED = 130

EXIT_CODES = """\
exit codes:
  0    done
  1    the system failed (Ray, the network, another writer); trying again may help
  2    the request cannot be met as it stands (arguments, data, a name that is not there)
  130  interrupted

`raypipe submit` ends with the exit code of the job. RAYPIPE_DEBUG=1 shows the traceback of an error
and Ray's own messages."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """The switch that every command has."""
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def add_lake(parser: argparse.ArgumentParser) -> None:
    """The lake that a command works on."""
    parser.add_argument(
        "--lake",
        metavar="URI",
        default=os.environ.get("RAYPIPE_LAKE", "raypipe-demo"),
        help="a folder or s3://, az://, gs:// (default: RAYPIPE_LAKE, else raypipe-demo here)",
    )


def open_lake(uri: str) -> Lake:
    """The lake at a URI; a folder has to be there, since a command that looks makes none.

    Raises:
        LakeError: there is no such folder.
    """
    from pathlib import Path

    from raypipe.core.errors import LakeError
    from raypipe.core.uris import is_local
    from raypipe.lake import Lake

    lake = Lake(uri)
    if is_local(lake.root) and not Path(lake.root).is_dir():
        raise LakeError("there is no lake", lake.root, "Pass --lake, or set RAYPIPE_LAKE.", "lake")
    return lake


def print_json(value: Any) -> None:
    """One line of JSON; dates and the like as text."""
    print(json.dumps(value, default=str, ensure_ascii=False))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A plain table, numbers to the right, or nothing but its head when there is no row."""
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    right = [all(_is_number(row.get(column)) for row in rows) for column in columns]
    for line in [list(columns), *cells]:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        )
        print("  ".join(padded).rstrip())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
