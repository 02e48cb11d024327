"""Runs the tests in a pytest process for each folder, some at once, and says what came of all.

A program whose Ray loses its raylet is ended by Ray's own code, without a summary and with an exit
code like that of a failed test. So each folder, or a group of its files, has a process of its own;
one that ends without a result is told as what it is and run once more. Ending so twice is a
failure, and so is every test that failed. Many tests wait for processes more than they compute, so
two processes run at once; ``RAYPIPE_TEST_LANES=1`` runs one after another. What one prints comes
when it has ended.

    python -m tests.run [options of pytest] FOLDER…
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

LANES = 2
# The longest first, so that no lane is left with one of them at the end. A folder, or files of one
# that have a process to themselves.
LONG = (
    "tests/faults/test_training_*.py",
    "tests/e2e",
    "tests/faults/test_tuning_*.py",
    "tests/examples",
    "tests/unit/lake",
    "tests/faults",
    "tests/unit/training",
    "tests/unit/engine",
    "tests/unit/features",
    "tests/property",
    "tests/unit/serving",
)


def groups(paths: list[str]) -> dict[str, list[str]]:
    """The files of each process, by its name."""
    found: dict[str, list[str]] = {}
    for path in map(Path, paths):
        for file in sorted(path.rglob("test_*.py")) if path.is_dir() else [path]:
            alone = (name for name in LONG if fnmatch(file.as_posix(), name))
            found.setdefault(next(alone, file.parent.as_posix()), []).append(str(file))
    return found


def in_order(found: dict[str, list[str]]) -> list[str]:
    """Those that take long first."""
    places = {name: place for place, name in enumerate(LONG)}
    return sorted(found, key=lambda name: places.get(name, len(LONG)))


def run(group: str, files: list[str], options: list[str], out: Path) -> dict[str, int] | None:
    """The counts of one pytest process; None when it ended without a result.

    What it prints is added to ``out``.
    """
    with tempfile.TemporaryDirectory() as folder, out.open("a") as log:
        result = Path(folder, "result.xml")
        command = [sys.executable, "-m", "pytest", *options, f"--junitxml={result}", *files]
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        ).returncode
        if code == 5:  # no test of this kind is here
            return {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        if not result.exists():
            print(f"\n{group}: pytest ended with exit code {code} and no result", file=log)
            return None
        suite = ElementTree.parse(result).getroot().find("testsuite")
        assert suite is not None
        counts = {
            name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")
        }
        if code and not counts["failures"] + counts["errors"]:
            counts["errors"] = 1
        return counts


def told(group: str, files: list[str], options: list[str], folder: Path) -> dict[str, int]:
    """Runs a group, at most twice, and prints what it said and how long it took."""
    began = time.monotonic()
    out = folder / group.replace("/", "-").replace("*", "")
    counts = run(group, files, options, out) or run(group, files, options, out)
    said = out.read_text(errors="replace").rstrip()
    print(f"\n== {group}\n{said}\n== {group}: {time.monotonic() - began:.0f} s", flush=True)
    return counts or {"tests": 1, "failures": 1, "errors": 0, "skipped": 0}


def main(arguments: list[str]) -> int:
    """Runs all; the exit code is 1 when anything failed."""
    paths = [a for a in arguments if Path(a).exists()]
    options = [a for a in arguments if a not in paths]
    lanes = int(os.environ.get("RAYPIPE_TEST_LANES", LANES))
    # A shell starts what runs in its background with interrupts ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    total = {"passed": 0, "failed": 0, "skipped": 0}
    bad: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(lanes) as pool:
        found = groups(paths)
        runs = {
            pool.submit(told, group, found[group], options, Path(folder)): group
            for group in in_order(found)
        }
        for done in as_completed(runs):
            counts = done.result()
            failed = counts["failures"] + counts["errors"]
            bad += [runs[done]] if failed else []
            total["failed"] += failed
            total["skipped"] += counts["skipped"]
            total["passed"] += max(0, counts["tests"] - failed - counts["skipped"])
    if bad:
        print(f"\nfailed in {', '.join(sorted(bad))}")
    print(f"\n{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
