"""How long do ``import raypipe`` and ``raypipe --help`` take in a fresh process?

Run: ``make bench-import_time``. Prints one JSON object: median and worst of ten, in seconds, with
the start of a bare interpreter beside them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

CASES = {
    "python": ["-c", "pass"],
    "import raypipe": ["-c", "import raypipe"],
    "raypipe --help": ["-m", "raypipe.cli.main", "--help"],
}


def seconds(arguments: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    result = {}
    for name, arguments in CASES.items():
        seconds(arguments)
        times = [seconds(arguments) for _ in range(10)]
        result[name] = {
            "median": round(statistics.median(times), 3),
            "worst": round(max(times), 3),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
