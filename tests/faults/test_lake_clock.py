"""Writers whose clocks are off by an hour or a year: order, time travel and batch ids hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from raypipe.core.errors import VersionNotFoundError
from tests.faults import roles
from tests.faults.crew import HOME, Crew

HOUR, YEAR = 3600.0, 365.25 * 86400
SHIFTS = {"now": 0.0, "back": -HOUR, "again": 0.0, "ahead": YEAR, "back2": -HOUR, "last": 0.0}
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    made = Crew(tmp_path_factory.mktemp("crew") / "errors.txt")
    yield made
    made.close()


def laws(root: str) -> None:
    table = roles.table(root)
    order = [src for src in SHIFTS for _ in range(2)]
    assert table.at().frame()["src"].to_list() == order
    for version in range(len(SHIFTS) + 1):
        assert table.at(version=version).frame()["src"].to_list() == order[: 2 * version]
    for src in SHIFTS:
        assert table.append(roles.rows(src, 9), batch_id=src).applied_before
    assert table.version() == len(SHIFTS)

    # Time only ever leads on, it ends at the newest version, and begins with the first.
    at = {entry["version"]: entry["at"] for entry in table.history()}
    start = datetime.now(UTC).replace(tzinfo=None)
    times = sorted({*at.values(), *(start + timedelta(hours=h) for h in range(-2, 3))})
    seen = []
    for time in times:
        try:
            seen.append(table.at(timestamp=time).version)
        except VersionNotFoundError:
            assert not seen
            assert time < max(at.values())
    assert seen == sorted(seen)
    for version, time in at.items():
        assert table.at(timestamp=time).version >= version
    assert table.at(timestamp=max(at.values())).version == len(SHIFTS)
    with pytest.raises(VersionNotFoundError):
        table.at(timestamp=start - timedelta(days=2))


def test_clocks_that_jump(crew: Crew, lake_root: str) -> None:
    for src, seconds in SHIFTS.items():
        assert crew.start("shifted", root=lake_root, seconds=seconds, src=src).wait() == 0
    laws(lake_root)


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
def test_clocks_that_jump_for_every_library(lake_root: str) -> None:
    script = (
        "import sys\nfrom tests.faults import roles\n"
        "roles.table(sys.argv[1]).append(roles.rows(sys.argv[2], 2), batch_id=sys.argv[2])\n"
    )
    for src, seconds in SHIFTS.items():
        env = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{seconds:+.0f}", "PYTHONPATH": str(HOME)}
        command = [sys.executable, "-c", script, lake_root, src]
        subprocess.run(command, env={**os.environ, **env}, check=True, timeout=300)
    at = {entry["version"]: entry["at"] for entry in roles.table(lake_root).history()}
    assert at[4] - at[3] > timedelta(days=364)
    laws(lake_root)


def test_a_batch_does_not_expire_with_a_clock_a_year_ahead(crew: Crew, lake_root: str) -> None:
    plain = roles.table(lake_root)
    plain.append(roles.rows("first", 2), batch_id="first")
    import deltalake

    deltalake.DeltaTable(plain.uri).alter.set_table_properties(
        {"delta.setTransactionRetentionDuration": "interval 1 days"}
    )
    for seconds in (YEAR, 0.0):
        src = f"at{seconds:.0f}"
        done = crew.start("shifted", root=lake_root, seconds=seconds, src=src, count=25).wait()
        assert done == 0
    log = Path(plain.uri) / "_delta_log"
    newest = max(int(path.name[:20]) for path in log.glob("*.checkpoint.parquet"))
    for path in log.glob("*.json"):
        if int(path.name[:20]) < newest:
            path.unlink()
    table = roles.table(lake_root)
    assert table.has_batch("first")
    assert table.append(roles.rows("first", 9), batch_id="first").applied_before
    assert table.at().frame()["src"].to_list()[:2] == ["first", "first"]
    assert pl.scan_delta(table.uri).collect().height == 2 + 2 * 50
