"""``raypipe demo``: the whole loop on a year of real flights."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from raypipe.cli import output

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser("demo", help="run the whole loop on the flights of 2013")
    output.add_lake(parser)
    output.add_json(parser)
    parser.add_argument(
        "--kill-worker", action="store_true", help="kill a training worker on the way"
    )
    parser.add_argument("--port", type=int, help="the service's port (default: a free one)")
    parser.add_argument("--weeks", type=int, help="replay only the first so many weeks")
    parser.add_argument("--report", metavar="PATH", help="where the HTML report goes")
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    from raypipe.demo import run_demo

    summary = run_demo(
        args.lake,
        kill_worker=args.kill_worker,
        port=args.port,
        report=args.report,
        **({} if args.weeks is None else {"weeks": args.weeks}),
        out=sys.stderr if args.json else sys.stdout,  # progress; standard output is the JSON's
    )
    if args.json:
        output.print_json(summary.to_dict())
    else:
        print(summary.table())
    return output.OK
