"""``raypipe submit``: a script as a job on a running Ray cluster."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from raypipe.cli import output


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "submit",
        help="run a script as a job on a running Ray cluster",
        usage="raypipe submit [options] SCRIPT [-- arguments of the script]",
    )
    parser.add_argument("script", metavar="SCRIPT")
    parser.add_argument(
        "--address",
        metavar="URL",
        help="the job server (default: RAY_API_SERVER_ADDRESS, RAY_ADDRESS, http://127.0.0.1:8265)",
    )
    parser.add_argument(
        "--working-dir", metavar="DIR", help="what the job gets a copy of (default: its folder)"
    )
    parser.add_argument(
        "--env",
        metavar="K=V",
        action="append",
        default=[],
        type=_pair,
        help="an environment variable of the job; may come again",
    )
    output.add_json(parser)
    parser.set_defaults(run=_submit)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def _submit(args: argparse.Namespace) -> int:
    from raypipe.engine import jobs

    job = jobs.submit(
        args.script,
        args.passed_on,
        address=args.address,
        working_dir=args.working_dir,
        env=dict(args.env),
    )
    print(f"raypipe: job {job.id} at {job.address}", file=sys.stderr)
    try:
        code = jobs.follow(job, sys.stderr if args.json else sys.stdout)
    except KeyboardInterrupt:
        print(f"raypipe: the job goes on; stop it with: {job.stop_command}", file=sys.stderr)
        return output.INTERRUPTED
    if args.json:
        output.print_json({"job": job.id, "address": job.address, "exit_code": code})
    return code
