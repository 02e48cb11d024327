"""Peak memory of this process and all that descend from it, by stage."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from raypipe.engine.processes import descendants


def tree_mb(root: int) -> float | None:
    """Proportional set size of a process and its descendants in MiB; ``None`` where unknown.

    Shared pages count once in all, which resident sizes would count for each process.
    """
    if not Path("/proc").is_dir():
        return None
    tree = [root, *(process.pid for process in descendants(root))]
    return sum(_pss_kb(Path("/proc") / str(pid)) for pid in tree) / 1024


def _pss_kb(process: Path) -> float:
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1])
    except OSError:
        return 0.0  # it ended meanwhile
    return 0.0


class PeakMemory:
    """Samples the tree's memory in a thread; ``take`` gives the peak since the last call."""

    def __init__(self, every_s: float = 2.0) -> None:
        self._every = every_s
        self._peak: float | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def take(self) -> float | None:
        """The largest sample since the last call, in MiB."""
        self._sample()
        with self._lock:
            peak, self._peak = self._peak, None
        return peak

    def _sample(self) -> None:
        now = tree_mb(os.getpid())
        if now is not None:
            with self._lock:
                self._peak = max(now, self._peak or 0.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._sample()
