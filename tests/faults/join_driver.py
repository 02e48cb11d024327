"""A driver that joins on Ray and keeps the result, and parts whose reading strikes once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from raypipe.core.scan import Scan, ScanPart
from raypipe.features import FeatureTable, point_in_time
from raypipe.lake import Lake

ROWS, EVENTS, FILES = 3_000, 6_000, 6
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens where a part of the features is first read in a worker.

    Attributes:
        step: ``"search"`` for reading key and times, ``"fetch"`` for reading what was found.
        kill: whether the worker is killed; else it waits, so that its driver can be.
        marker: a file that is made when it happens, and that stops it from happening again.
        driver: the process that it spares.
    """

    step: str
    kill: bool
    marker: str
    driver: int

    def on(self, columns: Sequence[str] | None) -> None:
        """Strikes if this is the place."""
        step = "fetch" if columns is not None and "v" in columns else "search"
        if os.getpid() == self.driver or step != self.step:
            return
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(WAIT_S)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a table."""

    part: ScanPart
    strike: Strike

    @property
    def rows(self) -> int:
        """Its rows."""
        return self.part.rows

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Its rows, if nothing strikes."""
        self.strike.on(columns)
        return self.part.read(columns)


@dataclass(frozen=True, slots=True)
class Struck:
    """A table whose parts strike."""

    scan: Scan
    strike: Strike

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """That of the table."""
        return self.scan.schema

    def parts(self) -> list[Part]:
        """Its parts."""
        return [Part(part, self.strike) for part in self.scan.parts()]

    def lazy(self) -> pl.LazyFrame:
        """Its rows."""
        return self.scan.lazy()

    def identity(self) -> dict[str, Any]:
        """That of the table."""
        return self.scan.identity()


def make(root: str) -> None:
    """Rows that ask, and features in several files. Half of all are of one key."""
    rng = np.random.default_rng(11)
    for name, count in (("rows", ROWS), ("features", EVENTS)):
        key = np.where(rng.random(count) < 0.5, 0, rng.integers(1, 200, count))
        seconds = rng.integers(0, 10**6, count).tolist()
        at = [datetime(2025, 1, 1) + timedelta(seconds=s) for s in seconds]
        late = [t + timedelta(seconds=s % 977) for t, s in zip(at, seconds, strict=True)]
        frame = pl.DataFrame({"k": key, "at": at, "known": late, "v": np.arange(count)})
        frame = frame.select("k", "at") if name == "rows" else frame
        for piece in frame.iter_slices(-(-count // FILES)):
            Lake(root).table(name).append(piece)


def join(root: str, run_on: Any, strike: Strike | None) -> pl.DataFrame:
    """What each row knows, with and without the time since when a feature was known."""
    lake = Lake(root)
    snapshot = lake.table("features").at()
    data: Any = snapshot if strike is None else Struck(snapshot, strike)
    plain = FeatureTable(data, columns=["v"])
    told = FeatureTable(data, known="known", columns=["v"], prefix="known_")
    rows = lake.table("rows").at()
    return point_in_time(rows, [plain, told], on="k", time="at", run_on=run_on).collect()


def keep(root: str, strike: Strike | None) -> None:
    """Joins on Ray and appends the result, as one batch."""
    Lake(root).table("joined").append(join(root, "ray", strike), batch_id="all")


if __name__ == "__main__":
    lake_root, asked_step, marker = sys.argv[1:]
    at_once = Strike(asked_step, kill=False, marker=marker, driver=os.getpid())
    keep(lake_root, at_once if asked_step else None)
    Path(marker + ".done").touch()
