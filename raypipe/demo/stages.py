"""Stages of the demo: a progress line each, with time and peak memory kept in the lake."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import raypipe as rp
    from raypipe.demo.memory import PeakMemory
    from raypipe.engine.progress import Progress, Stage

PATH = "demo/stages.json"


class Stages:
    """Times stages; a run that was cut short and goes on adds to what it had."""

    def __init__(self, lake: rp.Lake, progress: Progress, memory: PeakMemory) -> None:
        self._lake = lake
        self._progress = progress
        self._memory = memory
        kept: dict[str, Any] = {}
        if lake.files.exists(PATH):
            kept = json.loads(lake.files.get(PATH))
        self.seconds: dict[str, float] = kept.get("seconds", {})
        self.peak_mb: dict[str, float | None] = kept.get("peak_mb", {})
        self.rows: dict[str, int] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[Stage]:
        """A stage for the time of the block."""
        began = time.monotonic()
        self._memory.take()
        try:
            with self._progress.stage(name) as stage:
                yield stage
        finally:
            took = time.monotonic() - began
            peak, before = self._memory.take(), self.peak_mb.get(name)
            self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 2)
            known = [round(value, 1) for value in (peak, before) if value is not None]
            self.peak_mb[name] = max(known) if known else None
            kept = {"seconds": self.seconds, "peak_mb": self.peak_mb}
            self._lake.files.put(PATH, json.dumps(kept).encode())
