"""A driver that fills a table through files and keeps it; it stands still where it is told to."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from raypipe.features import Recipe, transforms
from raypipe.features.history import buckets, fill
from raypipe.features.history.spill import Spill
from raypipe.lake import Lake

RECIPE = Recipe(
    transforms.lag("v", by="k", time="at"),
    transforms.window("v", ["mean", "std", "max"], by="k", time="at", within=timedelta(hours=5)),
)
ROWS, PARTS = 4_000, 5


def make(root: str) -> None:
    """Events in several files; half of them are of one key."""
    rng = np.random.default_rng(5)
    key = np.where(rng.random(ROWS) < 0.5, 0, rng.integers(1, 300, ROWS))
    at = [datetime(2025, 1, 1) + timedelta(seconds=int(s)) for s in rng.integers(0, 10**6, ROWS)]
    frame = pl.DataFrame({"k": key, "at": at, "v": rng.normal(0, 1e3, ROWS)})
    for piece in frame.iter_slices(-(-ROWS // PARTS)):
        Lake(root).table("events").append(piece)


def keep(root: str, folder: str) -> None:
    """Fills the table through small buckets and appends the result, as one batch."""
    fill.SMALL, buckets.ROWS = 100, 500
    filled = RECIPE.with_history(Lake(root).table("events").at(), folder=folder)
    Lake(root).table("filled").append(filled.frame(), batch_id="all")


def stand_still(kind: str, marker: str) -> None:
    """Saving a file of this kind makes the marker and then takes for ever."""
    save = Spill.save

    def still(self: Spill, name: str, frames: list[pl.DataFrame]) -> None:
        save(self, name, frames)
        if name.startswith(kind):
            Path(marker).touch()
            time.sleep(600)

    Spill.save = still  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    lake_root, spill_folder, asked_kind, mark = sys.argv[1:]
    stand_still(asked_kind, mark)
    keep(lake_root, spill_folder)
