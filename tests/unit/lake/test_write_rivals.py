"""Rivals that come between a writer's look at a log and its entry there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import LakeAccessError
from raypipe.engine import parts
from raypipe.lake import Lake, Table, expect
from raypipe.lake.log import commit as door
from raypipe.lake.storage.store import _LocalStore
from raypipe.lake.write.ask import Ask
from raypipe.lake.write.encode import Place, write_file
from raypipe.lake.write.fused import BATCH, REASONS, WriteJob
from raypipe.lake.write.refused import add_refused
from raypipe.lake.write.sources import resolve

ASIDE = expect.between("n", 0, 9, on_fail="quarantine")


@pytest.fixture
def before_entry(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Has a rival act once, just before the first entry for a table of this name is put."""
    publish = door._Try._publish

    def arrange(name: str, rival: Callable[[], object]) -> None:
        acts = [rival]

        def first(self: Any, *rest: Any) -> Any:
            if self.log.name == name and acts:
                acts.pop()()
            return publish(self, *rest)

        monkeypatch.setattr(door._Try, "_publish", first)

    return arrange


def refused(table: Table, number: int) -> tuple[WriteJob, Any]:
    """A write of this table, and a file with one refused row."""
    writer, rows = table._writer(), pl.DataFrame({"n": [number]})
    ask = Ask.of("append", f"batch {number}", None, False, "local", None)
    job = writer.job(ask, resolve(rows), writer.now())
    told = rows.with_columns(
        pl.lit(["rule"], dtype=pl.List(pl.String)).alias(REASONS), pl.lit(job.batch).alias(BATCH)
    )
    place = Place(folder=job.quarantine_folder, storage_options=None)
    return job, write_file(place, told, f"{job.quarantine_prefix}{job.attempt}.parquet")


def test_two_writers_add_refused_rows_at_once(
    lake_root: str, before_entry: Callable[[str, Callable[[], object]], None]
) -> None:
    table = Lake(lake_root).table("t", expect=[ASIDE])
    table.append(pl.DataFrame({"n": [1, 10]}))
    log = table._writer().quarantine
    job, file = refused(table, 11)
    rival, theirs = refused(table, 12)
    before_entry("t__quarantine", lambda: add_refused(log, rival, [theirs], []))
    add_refused(log, job, [file], [])
    assert sorted(table.quarantine().at().frame()["n"]) == [10, 11, 12]


def test_two_writers_bring_a_column_to_the_quarantine_at_once(
    lake_root: str, before_entry: Callable[[str, Callable[[], object]], None]
) -> None:
    table = Lake(lake_root).table("t", expect=[ASIDE], evolve="add")
    table.append(pl.DataFrame({"n": [1, 10]}))
    other = Lake(lake_root).table("t", expect=[ASIDE], evolve="add")
    rows = pl.DataFrame({"n": [2, 11], "more": ["a", "b"]})
    before_entry("t__quarantine", lambda: other.append(rows, batch_id="theirs"))
    table.append(pl.DataFrame({"n": [3, 12], "more": ["c", "d"]}), batch_id="ours")
    assert sorted(table.at().frame()["n"]) == [1, 2, 3]
    found = table.quarantine().at().frame().sort("n")
    assert found["n"].to_list() == [10, 11, 12]
    assert found["more"].to_list() == [None, "b", "d"]


def test_an_entry_that_arrives_after_its_failure_was_told_counts_once(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request timed out; what it asked for happens after the writer has looked for it."""
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"n": [1]}))
    put, late = _LocalStore.put_new, list[Callable[[], object]]()

    def slow(self: _LocalStore, path: str, data: bytes) -> bool:
        if late:
            return put(self, path, data)
        late.append(lambda: put(self, path, data))
        raise LakeAccessError("no answer", path)

    def pause(_: float) -> None:
        late[0]()

    monkeypatch.setattr(_LocalStore, "put_new", slow)
    monkeypatch.setattr(door.time, "sleep", pause)
    done = table.append(pl.DataFrame({"n": [2]}))
    assert (done.version, done.applied_before) == (2, False)
    assert table.version() == 2
    assert table.at().frame()["n"].to_list() == [1, 2]


def test_what_cannot_be_removed_is_an_error_of_the_lake(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LakeAccessError, match="folder"):
        _LocalStore(str(tmp_path)).delete(["gone", "folder"])


def test_of_jobs_at_once_the_last_gives_the_log_level_back() -> None:
    theirs = logging.getLogger("ray.data")
    before = theirs.level
    theirs.setLevel(logging.INFO)
    try:
        first, second = parts._quiet(), parts._quiet()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert theirs.level == logging.WARNING
        second.__exit__(None, None, None)
        assert theirs.level == logging.INFO
    finally:
        theirs.setLevel(before)
