"""A disk that is full at every point of a write, a file that may not grow, a file cut short."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from raypipe.core.errors import RaypipeError
from raypipe.lake import Lake
from tests.faults import roles
from tests.faults.crew import Crew

BEFORE = 18  # commits; the next one writes a checkpoint, too
DATA = roles.rows("new", 8, refused=3)
PAGE = 4096


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("base") / "lake"
    for n in range(BEFORE):
        roles.table(str(root)).append(roles.rows(f"old{n}", 2, refused=1), batch_id=f"old{n}")
    return root


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a file system can only be mounted by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def sources(root: str) -> dict[str, int]:
    return dict(roles.table(root).at().frame().group_by("src").len().iter_rows())


OLD = {f"old{n}": 2 for n in range(BEFORE)}


def law(root: str, error: RaypipeError | None, told: str) -> None:
    """After a write on a full disk, and when there is room again."""
    now = sources(root)
    assert now in (OLD, {**OLD, "new": 8}), told
    if error is None:
        assert "new" in now, told
    done = roles.table(root).append(DATA, batch_id="new")
    assert done.applied_before == ("new" in now), told
    assert (done.rows, done.quarantined) == (8, 3), told
    assert sources(root) == {**OLD, "new": 8}, told
    table = roles.table(root)
    bad = table.quarantine().at().frame().filter(pl.col("_batch") == "new")
    assert sorted(bad["k"]) == [100, 101, 102], told
    assert pl.scan_delta(table.uri).collect().height == 2 * BEFORE + 8, told
    table.append(roles.rows("later", 2))
    assert table.at().count() == 2 * BEFORE + 10, told


def test_a_disk_with_no_room_for_the_next_byte(small_disk: Path, base: Path) -> None:
    failed = 0
    for pages in range(14):
        root = str(small_disk / f"lake{pages}")
        shutil.copytree(base, root)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(PAGE)) == PAGE:
                pass
        os.truncate(filler, max(0, filler.stat().st_size // PAGE - pages) * PAGE)
        error = None
        try:
            roles.table(root).append(DATA, batch_id="new")
        except RaypipeError as caught:
            error = caught
            failed += 1
            if pages:
                assert sources(root) == OLD, (pages, error)
        filler.unlink()
        law(root, error, f"{pages} pages: {error}")
        shutil.rmtree(root)
    assert 0 < failed < 14


def test_a_file_that_may_not_grow(tmp_path: Path, base: Path) -> None:
    crew = Crew(tmp_path / "errors.txt")
    failed = 0
    for size in [*range(0, 3000, 200), 4000, 8000, 16000, 32000]:
        root, told = str(tmp_path / f"lake{size}"), tmp_path / f"told{size}"
        shutil.copytree(base, root)
        assert crew.start("limited", root=root, size=size, told=str(told)).wait() == 0
        message = told.read_text()
        failed += bool(message)
        assert "\n" not in message
        law(root, RaypipeError(message) if message else None, f"{size} bytes: {message}")
    crew.close()
    assert 0 < failed < 19


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "garbage"])
def test_a_data_file_that_is_broken_is_named(base: Path, tmp_path: Path, damage: str) -> None:
    root = str(tmp_path / "lake")
    shutil.copytree(base, root)
    part = roles.table(root).at().parts()[5]
    path, good = Path(part.uri), Path(part.uri).read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {"cut": good[: len(good) // 2], "empty": b"", "garbage": bytes(999)}[damage]
        )
    now = roles.table(root).at()
    for read in (now.frame, part.read, lambda: now.where(pl.col("k") * 2 == 2).count()):
        with pytest.raises(RaypipeError, match=path.name):
            read()
    assert Lake(root).table("t").at().count() == 2 * BEFORE  # the log knows it
    roles.table(root).append(roles.rows("new", 1))  # and others may go on
    path.write_bytes(good)
    assert sources(root) == {**OLD, "new": 1}
