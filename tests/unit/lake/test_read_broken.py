"""A file that is gone, cut short or spoilt is one clear error, however it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import LakeError
from raypipe.lake import Lake, Snapshot
from raypipe.lake.read import feed

READS: dict[str, Callable[[Snapshot], Any]] = {
    "frame": lambda s: s.frame(),
    "count": lambda s: s.where(pl.col("n") % 2 == 0).count(),
    "describe": lambda s: s.select("n", double=pl.col("n") * 2).describe(),
    "min": lambda s: s.select(double=pl.col("n") * 2).min("double"),
    "part": lambda s: [part.read(["n"]) for part in s.parts()],
    "group": lambda s: [feed.read_group(group) for group in feed.plan(s.parts(), 10)],
}


def gone(path: Path) -> None:
    path.unlink()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def spoilt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(4, len(data) - 4):
        data[at] ^= 0x5A
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("harm", [gone, cut_short, emptied, spoilt])
def test_file_and_version_are_named(
    lake_root: str, read: str, harm: Callable[[Path], None]
) -> None:
    table = Lake(lake_root).table("t")
    for k in range(3):
        table.append(pl.DataFrame({"n": range(100 * k, 100 * k + 100)}))
    now = table.at()
    path = now.parts()[1].uri
    harm(Path(path))
    with pytest.raises(LakeError, match="version 3") as caught:
        READS[read](now)
    assert caught.value.got == path
    assert "gone" in str(caught.value) or "cannot be read" in str(caught.value)
    assert "copy of the lake" in str(caught.value)


def test_a_failure_that_is_no_files_fault_stays_what_it_is(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"s": ["x"]}))
    with pytest.raises(pl.exceptions.PolarsError):
        table.at().select(n=pl.col("s").cast(pl.Int64, strict=True)).frame()
