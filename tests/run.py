"""Runs the tests in one pytest process for each folder, and says what came of all of them.

A program whose Ray loses its raylet is ended by Ray's own code, without a summary and with an exit
code like that of a failed test. So each folder has a process of its own; one that ends without a
result is told as what it is and run once more. Ending so twice is a failure, and so is every test
that failed.

    python -m tests.run [options of pytest] FOLDER…
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree


def groups(paths: list[str]) -> list[Path]:
    """A folder whose tests lie in folders of their own is each of these; others are one."""
    found: list[Path] = []
    for path in map(Path, paths):
        inner = sorted({file.parent for file in path.rglob("test_*.py")})
        found.extend(inner if inner and path.is_dir() else [path])
    return found


def run(group: Path, options: list[str], inner: bool) -> dict[str, int] | None:
    """The counts of one pytest process; None when it ended without a result."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.xml")
        files = [str(f) for f in sorted(group.glob("test_*.py"))] if inner else [str(group)]
        command = [sys.executable, "-m", "pytest", *options, f"--junitxml={result}", *files]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
        if code == 5:  # no test of this kind is here
            return {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        if not result.exists():
            print(f"\n{group}: pytest ended with exit code {code} and no result", flush=True)
            return None
        suite = ElementTree.parse(result).getroot().find("testsuite")
        assert suite is not None
        counts = {
            name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")
        }
        if code and not counts["failures"] + counts["errors"]:
            counts["errors"] = 1
        return counts


def main(arguments: list[str]) -> int:
    """Runs all; the exit code is 1 when anything failed."""
    paths = [a for a in arguments if Path(a).exists()]
    options = [a for a in arguments if a not in paths]
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for group in groups(paths):
        began = time.monotonic()
        print(f"\n== {group}", flush=True)
        inner = group.is_dir()
        counts = run(group, options, inner) or run(group, options, inner)
        if counts is None:
            counts = {"tests": 1, "failures": 1, "errors": 0, "skipped": 0}
        failed = counts["failures"] + counts["errors"]
        total["failed"] += failed
        total["skipped"] += counts["skipped"]
        total["passed"] += max(0, counts["tests"] - failed - counts["skipped"])
        print(f"== {group}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
