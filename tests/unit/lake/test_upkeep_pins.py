"""Pins: who needs which version, as events that a vacuum and a pin cannot both overlook."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError, LakeError, VersionNotFoundError
from raypipe.core.times import utc_now
from raypipe.lake import Lake, Pin
from raypipe.lake.upkeep.pin_state import CLOCKS, VACUUMED, PinEvent, fold, merge_ranges

HOUR = timedelta(hours=1)


def filled(root: str, commits: int = 3) -> Lake:
    lake = Lake(root)
    for number in range(commits):
        lake.table("t").append(pl.DataFrame({"a": [number]}))
    return lake


def test_a_pin_stands_in_the_lake_until_it_is_released(lake_root: str) -> None:
    lake = filled(lake_root)
    lease = lake.pin(lake.table("t").at(version=1), "reader")
    lake.pin(("t", 2), "other")
    assert Lake(lake_root).pins() == (Pin("t", 1, "reader"), Pin("t", 2, "other"))
    lease.release()
    lease.release()
    assert lake.pins() == (Pin("t", 2, "other"),)
    assert lake.unpin("other") == 1
    assert lake.unpin("other") == 0
    assert lake.pins() == ()


def test_several_pins_are_one_commit_and_end_with_the_block(lake_root: str) -> None:
    lake = filled(lake_root)
    with lake.pin([("t", 1), lake.table("t").at()], "job") as lease:
        assert [(p.table, p.version) for p in lake.pins()] == [("t", 1), ("t", 3)]
        assert lake._pin_book._table.version() == 1
        lake.pin([("t", 1), ("t", 3)], "job")
        assert lake._pin_book._table.version() == 1  # nothing new to say
        assert "job" in repr(lease)
    assert lake.pins() == ()


def test_a_lease_ends_by_its_time_and_can_be_renewed(lake_root: str) -> None:
    lake = filled(lake_root)
    past = utc_now() - CLOCKS - timedelta(seconds=1)
    lease = lake.pin(("t", 1), "killed", until=past)
    assert lake.pins() == ()
    lease.renew(datetime.now(UTC) + HOUR)
    (pin,) = lake.pins()
    assert pin.until is not None
    assert timedelta(minutes=59) < pin.until - utc_now() < HOUR


def test_one_holder_ends_one_version_only(lake_root: str) -> None:
    lake = filled(lake_root)
    lake.pin([("t", 1), ("t", 2)], "job")
    assert lake.unpin("job", ("t", 1)) == 1
    assert lake.pins() == (Pin("t", 2, "job"),)


def test_what_cannot_be_pinned_is_refused(lake_root: str) -> None:
    lake = filled(lake_root)
    with pytest.raises(VersionNotFoundError):
        lake.pin(("t", 9), "reader")
    for wrong in ("t", ("t", True), ("t", "1"), 7, [], [("t", 1), "t"]):
        with pytest.raises(ConfigError):
            lake.pin(wrong, "reader")  # type: ignore[arg-type]
    for holder in ("", "x" * 501, None):
        with pytest.raises(ConfigError, match="holder"):
            lake.pin(("t", 1), holder)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="until"):
        lake.pin(("t", 1), "reader", until=5)  # type: ignore[arg-type]
    assert lake.pins() == ()


def test_the_name_is_the_lakes_own(lake_root: str) -> None:
    lake = filled(lake_root)
    lake.pin(("t", 1), "reader")
    with pytest.raises(ConfigError, match="reserved"):
        lake.table("pins")
    assert lake.tables() == ["t"]


def test_a_foreign_table_of_that_name_is_an_error(lake_root: str) -> None:
    lake = filled(lake_root)
    lake._pin_book._table.append(pl.DataFrame({"a": [1]}))
    with pytest.raises(LakeError, match="does not hold pins"):
        lake.pins()


def test_a_vacuum_that_came_first_refuses_the_pin(lake_root: str) -> None:
    lake = filled(lake_root)
    lake.pin(("t", 2), "held")
    book = lake._pin_book
    _, revision = book.read()
    assert book.append([PinEvent(VACUUMED, "t", gone=((0, 2),))], revision)
    with pytest.raises(VersionNotFoundError, match="version 1 of table 't'"):
        lake.pin(("t", 1), "late")
    lake.pin(("t", 2), "second")
    assert not book.append([PinEvent(VACUUMED, "t", gone=((2, 3),))], revision)


def test_many_at_once_lose_no_pin(lake_root: str) -> None:
    lake = filled(lake_root)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Lake(lake_root).pin(("t", 1), f"holder {n}"), range(16)))
    assert {p.holder for p in lake.pins()} == {f"holder {n}" for n in range(16)}


def test_book_and_lease_pickle(lake_root: str) -> None:
    lake = filled(lake_root)
    lease = pickle.loads(pickle.dumps(lake.pin(("t", 1), "reader")))
    lease.release()
    assert lake.pins() == ()


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8)


@given(RANGES)
def test_ranges_are_the_same_versions_in_fewest_pieces(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(ranges)
    members = {v for low, high in ranges for v in range(low, high)}
    assert {v for low, high in merged for v in range(low, high)} == members
    assert all(merged[i][1] < merged[i + 1][0] for i in range(len(merged) - 1))


@given(RANGES)
def test_events_survive_the_table(ranges: list[tuple[int, int]]) -> None:
    event = PinEvent(VACUUMED, "t", gone=merge_ranges(ranges))
    assert PinEvent.from_row(event.to_row()) == event
    state = fold([event, PinEvent("pinned", "t", 3, "h", None)])
    assert all(state.is_gone("t", v) for low, high in ranges for v in range(low, high))


def test_a_snapshot_is_pinned_in_its_own_lake(tmp_path: Path) -> None:
    here, there = filled(str(tmp_path / "here")), filled(str(tmp_path / "there"))
    with pytest.raises(ConfigError, match="in its own lake"):
        here.pin(there.table("t").at(), "reader")
    assert here.pins() == there.pins() == ()
