"""``raypipe``: parses the command line, runs one command, turns errors into exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from raypipe import __version__
from raypipe.cli import demo, machine, models, output, submit, tables
from raypipe.core.errors import RaypipeError

if TYPE_CHECKING:
    from collections.abc import Sequence


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; each command sets ``run``, a function of the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="raypipe",
        description="One loop from raw data to a watched, retrained model.",
        epilog=output.EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"raypipe {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for group in (demo, tables, models, machine, submit):
        group.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code; see ``output.EXIT_CODES``."""
    parser = build_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    cut = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:cut])
    args.passed_on = words[cut + 1 :]  # argparse cannot keep these apart from its own
    if args.passed_on and args.command != "submit":
        parser.error(f"{args.command} passes no arguments on")
    try:
        code: int = args.run(args)
    except RaypipeError as error:
        if os.environ.get("RAYPIPE_DEBUG"):
            raise
        print(f"raypipe: {error}", file=sys.stderr)
        return output.USER if error.fault == "user" else output.SYSTEM
    except KeyboardInterrupt as error:
        for told in ("interrupted", *getattr(error, "__notes__", ())):
            print(f"raypipe: {told}", file=sys.stderr)
        return output.INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
