"""``raypipe tables``: what lies in a lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.cli import output

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser("tables", help="list the lake's tables")
    output.add_lake(parser)
    output.add_json(parser)
    parser.set_defaults(run=_tables)


def rows(lake_uri: str) -> list[dict[str, Any]]:
    """Name, newest version and rows of each table."""
    lake = output.open_lake(lake_uri)
    found = []
    for name in lake.tables():
        snapshot = lake.table(name).at()
        found.append({"name": name, "version": snapshot.version, "rows": snapshot.count()})
    return found


def _tables(args: argparse.Namespace) -> int:
    found = rows(args.lake)
    if args.json:
        output.print_json(found)
    else:
        output.print_rows(found, ["name", "version", "rows"])
    return output.OK
