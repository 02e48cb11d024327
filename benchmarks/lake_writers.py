"""Many writers of one table at once, each batch sent by two of them: are all rows there, once?

    python benchmarks/lake_writers.py [--writers 32] [--batches 8] [--rows 1000] [--rounds 3]

Writers are processes. Every batch id is written by two of them, as after a retry of a job that was
thought dead, so half of the calls have to be without effect. The peer does what its documentation
offers: ``write_deltalake`` with a transaction id, looked up before each write, and its own retries
(15 by default, then 1,000). Prints rows missing and doubled, calls that failed, seconds from the
first write to the last, and commits a second; writes JSON to ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from common import save, tree_cpu

if TYPE_CHECKING:
    from collections.abc import Callable

WAYS = ("raypipe", "deltalake", "deltalake, 1000 retries", "deltalake, no ids")


def rows(batch: str, n: int) -> pl.DataFrame:
    return pl.DataFrame({"batch": [batch] * n, "k": range(n), "x": [0.5] * n})


def by_raypipe(root: str) -> Callable[[str, pl.DataFrame], None]:
    from raypipe.lake import Lake

    table = Lake(root).table("t")

    def write(batch: str, data: pl.DataFrame) -> None:
        table.append(data, batch_id=batch)

    return write


def by_deltalake(root: str, retries: int | None, ids: bool) -> Callable[[str, pl.DataFrame], None]:
    from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

    uri = f"{root}/t"

    def write(batch: str, data: pl.DataFrame) -> None:
        arrow = data.to_arrow(compat_level=pl.CompatLevel.oldest())
        mark = None
        if ids:
            known = DeltaTable.is_deltatable(uri)
            if known and DeltaTable(uri).transaction_version(batch) is not None:
                return
            mark = [Transaction(batch, 1)]
        write_deltalake(
            uri,
            arrow,
            mode="append",
            commit_properties=CommitProperties(max_commit_retries=retries, app_transactions=mark),
        )

    return write


def work(way: str, root: str, number: int, batches: int, n: int) -> None:
    """One writer: ready, go, one line of what happened."""
    retries = 1000 if "1000" in way or "no ids" in way else None
    write = by_raypipe(root) if way == "raypipe" else by_deltalake(root, retries, "no" not in way)
    data = [(f"{number // 2}-{k}", rows(f"{number // 2}-{k}", n)) for k in range(batches)]
    print("ready", flush=True)
    sys.stdin.readline()
    failed = 0
    for batch, frame in data:
        try:
            write(batch, frame)
        except Exception as error:  # noqa: BLE001 - counted; the loop of a plain job goes on
            failed += 1
            print(f"{way}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
    print(json.dumps({"failed": failed}), flush=True)


def once(way: str, args: argparse.Namespace) -> dict[str, Any]:
    root = tempfile.mkdtemp(prefix="lake-writers-")
    command = [sys.executable, __file__, "--worker", way, "--root", root]
    command += ["--batches", str(args.batches), "--rows", str(args.rows)]
    # The table is there before: only the peer's own way of making it would be measured.
    first = by_raypipe(root) if way == "raypipe" else by_deltalake(root, None, ids=False)
    first("first", rows("first", 1))
    writers = [
        subprocess.Popen(
            [*command, "--number", str(i)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if args.quiet else None,
            text=True,
            env=None,
        )
        for i in range(args.writers)
    ]
    for one in writers:
        assert one.stdout
        one.stdout.readline()
    before = sum(tree_cpu(one.pid) for one in writers)
    begin = time.perf_counter()
    for one in writers:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    failed = 0
    for one in writers:
        assert one.stdout
        line = one.stdout.readline()
        failed += json.loads(line)["failed"] if line else args.batches
    seconds = time.perf_counter() - begin
    cpu = sum(tree_cpu(one.pid) for one in writers) - before
    for one in writers:
        assert one.stdin
        one.stdin.close()
        one.wait()
    found = pl.scan_delta(f"{root}/t").collect().filter(pl.col("batch") != "first")
    counts = dict(found.group_by("batch").len().iter_rows())
    wanted = [f"{i}-{k}" for i in range(-(-args.writers // 2)) for k in range(args.batches)]
    commits = len(list(Path(root, "t", "_delta_log").glob("*.json"))) - 2
    shutil.rmtree(root)
    return {
        "seconds": seconds,
        "commits": commits,
        "commits_per_s": commits / seconds,
        "calls_per_s": args.writers * args.batches / seconds,
        "calls_failed": failed,
        "rows_wanted": len(wanted) * args.rows,
        "rows_missing": sum(max(0, args.rows - counts.get(b, 0)) for b in wanted),
        "rows_doubled": sum(max(0, counts.get(b, 0) - args.rows) for b in wanted),
        "cpu_s": cpu,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--batches", type=int, default=8, help="batches of each writer")
    parser.add_argument("--rows", type=int, default=1000, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quiet", action="store_true", help="do not show the calls that failed")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.root, args.number, args.batches, args.rows)
        return
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for number in range(args.rounds):
        for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
            runs[way].append(once(way, args))
            print(f"round {number + 1}: {way}: {runs[way][-1]}", file=sys.stderr)
    print(
        f"| {args.writers} writers, {args.batches} batches each, every batch twice "
        "| rows missing | rows doubled | calls failed | s | commits/s | CPU s |"
    )
    print("|---|---|---|---|---|---|---|")
    for way, all_runs in runs.items():
        worst = {k: max(r[k] for r in all_runs) for k in all_runs[0]}
        mid = {k: statistics.median(r[k] for r in all_runs) for k in all_runs[0]}
        wanted = worst["rows_wanted"]
        print(
            f"| {way} | {worst['rows_missing']:,} of {wanted:,} | {worst['rows_doubled']:,} "
            f"| {worst['calls_failed']} of {args.writers * args.batches} | {mid['seconds']:.2f} "
            f"| {mid['commits_per_s']:.1f} | {mid['cpu_s']:.1f} |"
        )
    save("lake_writers", {"arguments": vars(args), "runs": runs})


if __name__ == "__main__":
    main()
