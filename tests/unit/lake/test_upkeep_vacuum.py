"""Vacuum removes what nobody needs, keeps what somebody does, and says for whom."""

from __future__ import annotations

import logging
import os
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError, LakeError, TableNotFoundError, VersionNotFoundError
from raypipe.core.times import utc_now
from raypipe.lake import Lake
from raypipe.lake.upkeep.durations import KEPT_FILES, parse_interval, retention
from raypipe.lake.upkeep.log_files import Logged
from raypipe.lake.upkeep.pin_state import CLOCKS, Pin
from raypipe.lake.upkeep.vacuum_plan import Found, plan_log, plan_vacuum

NOW = timedelta(0)
DAY_MS = 86_400_000


def frame(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"a": list(values)})


def rewritten(root: str, times: int = 3) -> Lake:
    """A table whose versions 1 to ``times`` share no file."""
    lake = Lake(root)
    for number in range(times):
        lake.table("t").overwrite(frame(number))
    time.sleep(0.01)  # what is removed must be older than now
    return lake


def data_files(lake: Lake, name: str = "t") -> set[str]:
    return {path.name for path in Path(lake.table(name).uri).glob("*.parquet")}


def aged(path: Path, ago: timedelta) -> None:
    then = time.time() - ago.total_seconds()
    os.utime(path, (then, then))


def test_files_of_old_versions_go_and_those_of_the_newest_stay(lake_root: str) -> None:
    lake = rewritten(lake_root)
    report = lake.table("t").vacuum(retention=NOW)
    assert len(report.files) == 2
    assert report.gone == ((1, 3),)
    assert data_files(lake) == {Path(p.uri).name for p in lake.table("t").at().parts()}
    assert lake.table("t").at().frame()["a"].to_list() == [2]
    assert lake.table("t").vacuum(retention=NOW).files == ()
    with pytest.raises((LakeError, FileNotFoundError)):
        lake.table("t").at(version=1).frame()
    assert "removed 2 files" in repr(report)
    assert "2" in report._repr_html_()


def test_within_the_retention_nothing_goes(lake_root: str) -> None:
    lake = rewritten(lake_root)
    assert lake.table("t").vacuum().files == ()
    assert lake.table("t").vacuum(retention=timedelta(minutes=1)).files == ()
    assert lake.table("t").at(version=1).frame()["a"].to_list() == [0]


def test_a_dry_run_tells_and_removes_nothing(lake_root: str) -> None:
    lake = rewritten(lake_root)
    before = data_files(lake)
    told = lake.table("t").vacuum(retention=NOW, dry_run=True)
    assert (len(told.files), told.dry_run) == (2, True)
    assert data_files(lake) == before
    lake.pin(("t", 1), "still possible")
    assert "would remove" in repr(told)


def test_what_is_pinned_stays_and_the_report_says_for_whom(lake_root: str) -> None:
    lake = rewritten(lake_root, 4)
    lake.pin(("t", 2), "model delays, run 7")
    lake.pin(("t", 2), "reader")
    lake.pin(("t", 3), "killed", until=utc_now() - CLOCKS - timedelta(seconds=1))
    lake.pin(("t", 4), "needs nothing old")
    report = lake.table("t").vacuum(retention=NOW)
    assert [(k.holder, k.version, k.files) for k in report.kept] == [
        ("model delays, run 7", 2, 1),
        ("reader", 2, 1),
    ]
    assert report.gone == ((1, 2), (3, 4))
    assert lake.table("t").at(version=2).frame()["a"].to_list() == [1]
    assert "model delays, run 7" in repr(report)
    assert "model delays, run 7" in report._repr_html_()
    for version in (1, 3):
        with pytest.raises(VersionNotFoundError, match="vacuumed"):
            lake.pin(("t", version), "late")
    lake.unpin("model delays, run 7")
    assert lake.table("t").vacuum(retention=NOW).files == ()
    lake.unpin("reader")
    assert len(lake.table("t").vacuum(retention=NOW).files) == 1


def test_appended_files_are_needed_by_the_newest_version(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    for number in range(3):
        table.append(frame(number))
    assert table.vacuum(retention=NOW).files == ()
    assert table.at(version=1).frame()["a"].to_list() == [0]


def test_orphans_go_when_they_are_old_and_only_then(lake_root: str) -> None:
    lake = rewritten(lake_root, 1)
    folder = Path(lake.table("t").uri)
    (folder / "_change_data").mkdir()
    names = [
        "part-orphan.parquet",
        ".part-orphan.parquet.1234.tmp",
        "_change_data/cdc-orphan.parquet",
    ]
    for name in [*names, "notes.txt", "_hidden.parquet", "_other/x.parquet", ".crc"]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert lake.table("t").vacuum(retention=NOW).files == ()  # somebody may be writing them
    for path in folder.rglob("*"):
        aged(path, timedelta(hours=2))
    assert lake.table("t").vacuum(retention=timedelta(hours=3)).files == ()
    assert sorted(lake.table("t").vacuum(retention=NOW).files) == sorted(names)
    assert (folder / "notes.txt").exists()
    assert (folder / "_hidden.parquet").exists()
    assert lake.table("t").at().count() == 1
    assert not (Path(lake_root) / "pins").exists()  # no version ended: nothing to tell


def test_a_clock_that_is_ahead_makes_no_file_old(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from raypipe.lake.upkeep import vacuum

    lake = rewritten(lake_root)
    soon = Path(lake.table("t").uri, "part-soon-in-a-commit.parquet")
    soon.write_bytes(b"rows")
    lake.pin(("t", 1), "holder", until=utc_now() + timedelta(days=1))
    monkeypatch.setattr(vacuum, "utc_now", lambda: utc_now() + timedelta(days=365))
    before = sorted(Path(lake.table("t").uri).rglob("*"))
    assert lake.table("t").vacuum(log=True).files == ()
    assert sorted(Path(lake.table("t").uri).rglob("*")) == before
    assert soon.exists()
    report = lake.table("t").vacuum(retention=NOW)
    assert [(kept.holder, kept.version) for kept in report.kept] == [("holder", 1)]
    assert "ahead of that of" in caplog.text


def test_a_pin_that_comes_meanwhile_is_seen(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.lake.upkeep import vacuum as engine

    lake = rewritten(lake_root)
    points: list[str] = []

    def pin_between(name: str) -> None:
        points.append(name)
        if points.count("upkeep:vacuum-planned") == 1 and name == "upkeep:vacuum-planned":
            lake.pin(("t", 1), "reader")

    monkeypatch.setattr(engine, "fault_point", pin_between)
    report = lake.table("t").vacuum(retention=NOW)
    assert points.count("upkeep:vacuum-planned") == 2
    assert [k.holder for k in report.kept] == ["reader"]
    assert lake.table("t").at(version=1).frame()["a"].to_list() == [0]


def test_a_pin_is_seen_where_the_log_tells_no_more_who_removed_a_file(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(lake_root)
    table = lake.table("t", properties={"delta.checkpointInterval": "5"})
    table.append(frame(1))
    table.append(frame(2))
    table.delete(pl.col("a") == 1)
    for number in range(3, 11):
        table.append(frame(number))
    lake.pin(("t", 2), "first")
    time.sleep(0.01)
    assert table.clean_log(timedelta(0))  # but for what version 2 is read from
    lake.unpin("first")

    def pin(name: str) -> None:
        if name == "upkeep:vacuum-planned":
            lake.pin(("t", 2), "second")

    monkeypatch.setattr("raypipe.lake.upkeep.vacuum.fault_point", pin)
    assert table.vacuum(retention=timedelta(0)).files == ()
    assert Lake(lake_root).table("t").at(2).frame()["a"].to_list() == [1, 2]
    lake.unpin("second")
    monkeypatch.undo()
    assert len(table.vacuum(retention=timedelta(0)).files) == 1
    with pytest.raises(VersionNotFoundError):
        lake.pin(("t", 2), "third")


def test_a_pinned_version_that_another_engine_cleaned_away_is_no_obstacle(
    lake_root: str, caplog: pytest.LogCaptureFixture
) -> None:
    lake = rewritten(lake_root, 25)
    lake.pin(("t", 2), "too late")
    for version in range(10):
        (Path(lake.table("t").uri) / f"_delta_log/{version:020d}.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert lake.table("t").vacuum(retention=NOW).files
    assert "too late" in caplog.text
    assert lake.table("t").at().frame()["a"].to_list() == [24]


def test_old_commits_go_and_the_rest_can_be_opened(lake_root: str) -> None:
    lake = rewritten(lake_root, 65)
    lake.pin(("t", 23), "reader")
    table = lake.table("t")
    assert table.clean_log(timedelta(days=1)) == 0
    assert table.clean_log(NOW, dry_run=True) == table.clean_log(NOW)
    fresh = Lake(lake_root).table("t")
    assert fresh.version() == 65
    assert fresh.at().frame()["a"].to_list() == [64]
    assert fresh.at(version=23).frame()["a"].to_list() == [22]
    assert fresh.at(version=62).frame()["a"].to_list() == [61]
    for version in (1, 18, 24, 40):
        with pytest.raises(VersionNotFoundError):
            fresh.at(version=version)
        with pytest.raises(VersionNotFoundError):
            lake.pin(("t", version), "late")
    assert fresh.append(frame(7), batch_id="b").version == 66
    assert fresh.append(frame(7), batch_id="b").applied_before
    fresh.vacuum(retention=NOW)
    assert fresh.at(version=23).frame()["a"].to_list() == [22]
    assert len(fresh.history()) > 0
    lake.unpin("reader")
    assert fresh.clean_log(NOW) >= 4
    assert fresh.at().frame()["a"].to_list() == [64, 7]


def test_vacuum_with_log_does_both(lake_root: str) -> None:
    lake = Lake(lake_root)
    table = lake.table("t", properties={"delta.logRetentionDuration": "interval 0 days"})
    for number in range(45):
        table.overwrite(frame(number))
    time.sleep(0.01)
    report = table.vacuum(retention=NOW, log=True)
    assert len(report.files) == 44
    assert report.log_files >= 40
    assert table.at().frame()["a"].to_list() == [44]


def test_a_checkpoint_on_demand(lake_root: str) -> None:
    lake = rewritten(lake_root)
    assert lake.table("t").checkpoint() == 3
    assert (Path(lake.table("t").uri) / "_delta_log" / f"{3:020d}.checkpoint.parquet").exists()


def test_bad_arguments(lake_root: str) -> None:
    lake = Lake(lake_root)
    with pytest.raises(TableNotFoundError):
        lake.table("t").vacuum()
    lake.table("t").append(frame(1))
    for wrong in (timedelta(seconds=-1), 7):
        with pytest.raises(ConfigError, match="retention"):
            lake.table("t").vacuum(retention=wrong)  # type: ignore[arg-type]


def test_the_tables_own_retention_counts(lake_root: str) -> None:
    lake = Lake(lake_root)
    own = {"delta.deletedFileRetentionDuration": "interval 0 days"}
    table = lake.table("t", properties=own)
    table.overwrite(frame(1))
    table.overwrite(frame(2))
    time.sleep(0.01)
    report = table.vacuum()
    assert report.retention == NOW
    assert len(report.files) == 1


def test_durations_as_delta_spells_them() -> None:
    assert parse_interval("interval 7 days") == timedelta(days=7)
    assert parse_interval("INTERVAL 1 week") == timedelta(weeks=1)
    assert parse_interval("90 minutes") == timedelta(minutes=90)
    for wrong in ("7", "days", "interval 1 month", "interval x days", ""):
        assert parse_interval(wrong) is None
    assert retention(None, {}, KEPT_FILES) == timedelta(days=7)
    with pytest.raises(LakeError, match="property"):
        retention(None, {KEPT_FILES: "soon"}, KEPT_FILES)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Logged], list[frozenset[str]]]:
    """Commits, a day apart, and the files of each version."""
    active: frozenset[str] = frozenset()
    commits, states = [], []
    for version in range(draw(st.integers(1, 10))):
        gone = draw(st.sets(st.sampled_from(sorted(active) or ["-"]), max_size=3)) & active
        new = {f"f{version}-{n}.parquet" for n in range(draw(st.integers(0, 2)))}
        active = (active - gone) | new
        at = version * DAY_MS
        commits.append(Logged(version, at, tuple(sorted(new)), tuple((p, at) for p in gone)))
        states.append(active)
    return commits, states


@given(histories(), st.sets(st.integers(0, 9)), st.integers(0, 12))
def test_what_a_version_that_stays_needs_is_never_planned(
    history: tuple[list[Logged], list[frozenset[str]]], pinned: set[int], days: int
) -> None:
    commits, states = history
    newest = len(states) - 1
    files = {path: c.at_ms or 0 for c in commits for path in c.added}
    pins = {Pin("t", v, "h"): states[v] for v in pinned if v <= newest}
    cutoff = days * DAY_MS
    plan = plan_vacuum(
        [Found(path, 1, at) for path, at in files.items()] + [Found("orphan.parquet", 1, 0)],
        active=states[-1],
        commits=commits,
        pinned=pins,
        cutoff_ms=cutoff,
        orphan_cutoff_ms=cutoff,
    )
    gone = {file.path for file in plan.files}
    ended = {v for low, high in plan.gone for v in range(low, high)}
    for version, needed in enumerate(states):
        left_at = (version + 1) * DAY_MS if version < newest else None
        retained = left_at is None or left_at >= cutoff
        if retained or version in pinned:
            assert not needed & gone
            assert version not in ended
        assert (version in ended) == bool(needed & gone)
    assert ("orphan.parquet" in gone) == (cutoff > 0)
    everything = {p for v, s in enumerate(states) for p in s if v not in ended}
    assert not everything & gone


@given(st.integers(1, 60), st.sets(st.integers(0, 59), max_size=3), st.integers(0, 70))
def test_versions_that_stay_have_their_checkpoint_and_commits(
    count: int, pinned: set[int], cutoff: int
) -> None:
    checkpoints = list(range(10, count, 10))
    times: dict[int, int | None] = {v: v for v in range(count)}
    gone = set(plan_log(times, times, checkpoints, {p for p in pinned if p < count}, cutoff))
    first = min(cutoff - 1, count - 1)  # the newest one at the cut-off
    stay = {v for v in range(count) if v >= first} | {p for p in pinned if p < count}
    for version in stay:
        base = max([c for c in checkpoints if c <= version], default=0)
        assert not gone & set(range(base, version + 1))
    if not pinned and checkpoints and first >= checkpoints[0]:
        assert gone == set(range(max(c for c in checkpoints if c <= first)))
