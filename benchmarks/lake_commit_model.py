"""What a commit and a read's plan cost by the number of a table's files; the model for millions.

``python benchmarks/lake_commit_model.py`` writes logs of 1,000, 10,000 and 100,000 files (the files
themselves do not exist: nothing here reads a row) and measures, each in processes of their own:

* ``open``: the log from nothing, by Delta's library;
* ``pin``: ``Table.at``, which is ``open`` and the list of files with their statistics;
* ``prune``: choosing the parts for a predicate, of a pinned version;
* ``append``: one small ``append`` with a batch id, of a table that this process has open;
* ``plan``: what a compaction decides, of a pinned version;
* ``checkpoint``: writing one.

For each a straight line is laid through medians of the runs, weighted so that each size counts
alike, and gives 1 and 10 million files. Memory is what the process grew by at its highest.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
from common import CACHE, save

from raypipe.lake import Lake
from raypipe.lake.log.entry import add, commit_info, entry, entry_name
from raypipe.lake.log.written import WrittenFile
from raypipe.lake.upkeep.compact import CompactAsk, _decide

SIZES = (1_000, 10_000, 100_000)
FAR = (1_000_000, 10_000_000)
WAYS = ("open", "pin", "prune", "append", "plan", "checkpoint")
ENTRY = 10_000  # files that one commit brings
ROWS = 1_000_000


def fill(root: Path, files: int) -> None:
    """A table of so many files, as its log tells; five columns, three with statistics."""
    lake, rng = Lake(root), random.Random(1)
    lake.table("t", properties={"delta.checkpointInterval": 1_000_000}).append(
        small(), batch_id="0"
    )
    log = Path(root) / "t"
    for version, start in enumerate(range(0, files, ENTRY), 2):
        stamp = time.time_ns() // 1_000_000
        actions = [commit_info("WRITE", stamp, {"stamp": stamp})]
        for number in range(start, min(files, start + ENTRY)):
            low = number * ROWS
            ends = sorted(rng.random() * 1e4 for _ in range(2))
            stats = {
                "numRecords": ROWS,
                "minValues": {"at": low, "value": ends[0], "name": f"a{rng.randrange(10**9):012d}"},
                "maxValues": {
                    "at": low + ROWS - 1,
                    "value": ends[1],
                    "name": f"z{rng.randrange(10**9):012d}",
                },
                "nullCount": {"at": 0, "value": rng.randrange(100), "name": 0},
            }
            path = f"part-{rng.getrandbits(128):032x}-{number:08d}.parquet"
            file = WrittenFile(path, 20_000_000, json.dumps(stats, separators=(",", ":")))
            actions.append(add(file, stamp, data_change=True))
        (log / entry_name(version)).write_bytes(entry(actions))
    lake.table("t").checkpoint()


def small() -> pl.DataFrame:
    """What one small append brings."""
    return pl.DataFrame({"at": [1, 2, 3], "value": [0.5, 1.5, 2.5], "name": ["a", "b", "c"]})


def memory(peak: bool) -> float:
    """This process's memory in MB, as it is or at its highest since the mark was set back."""
    word = "VmHWM" if peak else "VmRSS"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(word):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(root: Path, way: str, repeats: int, number: int) -> dict[str, Any]:
    """Seconds of each run, CPU seconds of all, and MB that the process grew by."""
    lake = Lake(root)
    Lake(root / "warm").table("t").append(
        small(), batch_id=str(number)
    )  # loads what is loaded once
    Lake(root / "warm").table("t").at().where(pl.col("at") == 2).parts()
    table = lake.table("t")
    held = table.at() if way in ("prune", "plan") else None
    if way in ("append", "checkpoint"):
        table._log.has_transaction("nothing")
    before = memory(peak=False)
    Path("/proc/self/clear_refs").write_text("5")
    seconds, cpu = [], time.process_time()
    for turn in range(repeats):
        begin = time.perf_counter()
        if way == "open":
            lake.table("t")._log.open()
        elif way == "pin":
            lake.table("t").at()
        elif way == "prune":
            assert held is not None
            middle = ROWS * 500
            assert len(held.where(pl.col("at") == middle).parts()) == 1
        elif way == "append":
            table.append(small(), batch_id=f"{number}-{turn}", run_on="local")
        elif way == "plan":
            assert held is not None
            _decide(table._log, held, CompactAsk())
        else:
            table.checkpoint()
        seconds.append(time.perf_counter() - begin)
    cpu = (time.process_time() - cpu) / repeats
    return {"seconds": seconds, "cpu_s": cpu, "mb": max(0.0, memory(peak=True) - before)}


def line(points: dict[int, float]) -> tuple[float, float]:
    """Constant and growth by file of the straight line nearest to the points, relatively."""
    weights = {n: 1 / max(y, 1e-9) ** 2 for n, y in points.items()}
    total = sum(weights.values())
    mean_n = sum(weights[n] * n for n in points) / total
    mean_y = sum(weights[n] * y for n, y in points.items()) / total
    spread = sum(weights[n] * (n - mean_n) ** 2 for n in points)
    slope = sum(weights[n] * (n - mean_n) * (y - mean_y) for n, y in points.items()) / spread
    slope = max(slope, 0.0)
    return max(mean_y - slope * mean_n, 0.0), slope


def run(root: Path, way: str, repeats: int, number: int) -> dict[str, Any]:
    """``measure`` in a process of its own."""
    words = [sys.executable, __file__, "--measure", way, "--root", str(root)]
    words += ["--repeats", str(repeats), "--number", str(number)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--root", type=Path, default=CACHE / "commit_model")
    parser.add_argument("--measure", default="", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.root, args.measure, args.repeats, args.number)))
        return
    sizes = [int(word) for word in args.sizes.split(",")]
    found: dict[str, dict[int, dict[str, Any]]] = {way: {} for way in WAYS}
    try:
        for files in sizes:
            shutil.rmtree(args.root / str(files), ignore_errors=True)
            fill(args.root / str(files), files)
        for number, way in enumerate(WAYS):
            for files in sizes:
                found[way][files] = run(args.root / str(files), way, args.repeats, number)
    finally:
        shutil.rmtree(args.root, ignore_errors=True)
    rows = []
    for way in WAYS:
        by_size = found[way]
        row: dict[str, Any] = {"what": way}
        figures = {
            "ms": {n: statistics.median(one["seconds"]) * 1e3 for n, one in by_size.items()},
            "cpu_ms": {n: one["cpu_s"] * 1e3 for n, one in by_size.items()},
            "mb": {n: one["mb"] for n, one in by_size.items()},
        }
        for unit, points in figures.items():
            constant, slope = line(points)
            row[unit] = {str(n): round(y, 2) for n, y in points.items()}
            row[f"{unit}_constant"], row[f"{unit}_by_1000_files"] = (
                round(constant, 3),
                round(slope * 1e3, 4),
            )
            row[unit] |= {str(n): round(constant + slope * n, 1) for n in FAR}
        rows.append(row)
    for unit in ("ms", "cpu_ms", "mb"):
        every = [str(n) for n in (*sizes, *FAR)]
        print(f"\n{unit + ' by files':16}" + "".join(f"{n:>12}" for n in every), " constant  /1000")
        for row in rows:
            cells = "".join(f"{row[unit][n]:12.1f}" for n in every)
            ends = f"{row[unit + '_constant']:9.2f} {row[unit + '_by_1000_files']:8.4f}"
            print(f"{row['what']:16}{cells}{ends}")
    print(f"(1 and 10 million by the line) {save('lake_commit_model', {'rows': rows})}")


if __name__ == "__main__":
    main()
