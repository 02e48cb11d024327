"""Appending: once per batch, all or nothing, every kind of data."""

from __future__ import annotations

import os
import pickle
import re
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    EmptySourceError,
    ExpectationError,
    LakeAccessError,
    SourceNotFoundError,
    TableNotFoundError,
    VersionNotFoundError,
)
from raypipe.lake import Lake, TableSpec, expect

FRAME = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "at": [datetime(2013, 1, 1)] * 3})


@pytest.fixture
def lake(lake_root: str) -> Lake:
    return Lake(lake_root)


def data_files(lake: Lake) -> set[str]:
    return {p for p in lake.files.list() if p.endswith((".parquet", ".tmp")) and "_log" not in p}


def test_the_first_append_makes_version_1(lake: Lake) -> None:
    table = lake.table("t")
    assert not table.exists
    with pytest.raises(TableNotFoundError, match="no table 't'"):
        table.version()
    done = table.append(FRAME)
    assert (done.version, done.rows, done.rows_in, done.applied_before) == (1, 3, 3, False)
    assert table.exists
    assert table.version() == 1
    assert table.at().frame().equals(FRAME)
    assert table.at(version=0).frame().height == 0
    assert lake.tables() == ["t"]


def test_a_batch_is_applied_once_and_tells_its_first_counts(lake: Lake) -> None:
    table = lake.table("t", expect=[expect.between("a", 1, 2, on_fail="quarantine")])
    first = table.append(FRAME, batch_id="q1")
    again = lake.table("t").append(FRAME.head(1), batch_id="q1")
    assert again.applied_before
    assert (again.version, again.rows, again.quarantined, again.rows_in) == (1, 2, 1, 3)
    assert first == pickle.loads(pickle.dumps(first))
    assert table.at().count() == 2
    assert table.quarantine().at().count() == 1
    assert table.has_batch("q1")
    assert not table.has_batch("q2")


def test_an_append_without_batch_id_is_not_deduplicated(lake: Lake) -> None:
    table = lake.table("t")
    table.append(FRAME)
    table.append(FRAME)
    assert table.at().count() == 6


@pytest.mark.parametrize("kind", ["frame", "lazy", "arrow", "reader", "files", "glob", "snapshot"])
def test_every_kind_of_data_gives_the_same_rows(lake: Lake, tmp_path: Path, kind: str) -> None:
    FRAME.head(2).write_parquet(tmp_path / "p-1.parquet")
    FRAME.tail(1).write_parquet(tmp_path / "p-2.parquet")
    lake.table("source").append(FRAME)
    arrow = FRAME.to_arrow()
    data = {
        "frame": lambda: FRAME,
        "lazy": lambda: FRAME.lazy(),
        "arrow": lambda: arrow,
        "reader": lambda: pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches()),
        "files": lambda: [tmp_path / "p-1.parquet", str(tmp_path / "p-2.parquet")],
        "glob": lambda: str(tmp_path / "p-*.parquet"),
        "snapshot": lambda: lake.table("source").at(),
    }[kind]()
    assert lake.table("t").append(data).rows == 3
    assert lake.table("t").at().frame().equals(FRAME)


def test_overwrite_replaces_and_keeps_the_past(lake: Lake) -> None:
    table = lake.table("t")
    table.append(FRAME)
    done = table.overwrite(FRAME.head(1), batch_id="o")
    assert done.version == 2
    assert table.overwrite(FRAME, batch_id="o").applied_before
    assert table.at().frame().equals(FRAME.head(1))
    assert table.at(version=1).frame().equals(FRAME)
    assert [entry["kind"] for entry in table.history()] == ["overwrite", "append", "CREATE TABLE"]


def test_if_version_is_a_compare_and_swap(lake: Lake) -> None:
    table = lake.table("t")
    with pytest.raises(CommitConflictError):
        table.append(FRAME, if_version=0)
    assert table.append(FRAME, if_version=-1).version == 1
    for wrong in (-1, 0, 2):
        with pytest.raises(CommitConflictError, match="not at version"):
            table.append(FRAME, if_version=wrong)
    assert table.append(FRAME, if_version=1).version == 2
    assert table.at().count() == 6
    assert len(data_files(lake)) == 2


def test_a_conflict_at_the_last_moment_leaves_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.lake.write import writer

    table = lake.table("t", expect=[expect.between("a", 1, 2, on_fail="quarantine")])
    table.append(FRAME, batch_id="1")
    before = data_files(lake)

    def meanwhile(job: object) -> None:
        monkeypatch.undo()
        Lake(lake.root).table("t").append(FRAME.head(1), batch_id="other")

    monkeypatch.setattr(writer, "fault_point", meanwhile)
    with pytest.raises(CommitConflictError):
        table.append(FRAME, batch_id="2", if_version=1)
    assert table.at().count() == 3
    assert table.quarantine().at().count() == 1
    assert len([p for p in data_files(lake) - before if p.startswith("t/")]) == 1
    assert not table.has_batch("2")


@pytest.mark.parametrize("partition_by", ["", "a"])
def test_a_conflict_lists_no_folder(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, partition_by: str
) -> None:
    from raypipe.lake.storage import store
    from raypipe.lake.write import writer

    keys = [partition_by] if partition_by else []
    rule = expect.between("a", 1, 2, on_fail="quarantine")
    table = lake.table("t", expect=[rule], partition_by=keys)
    table.append(FRAME, batch_id="1")
    before = data_files(lake)
    written: list[set[str]] = []

    def meanwhile(point: str) -> None:
        monkeypatch.undo()
        written.append(data_files(lake) - before)
        Lake(lake.root).table("t").append(FRAME.head(1), batch_id="other")
        monkeypatch.setattr(store._LocalStore, "files", None)

    monkeypatch.setattr(writer, "fault_point", meanwhile)
    with pytest.raises(CommitConflictError):
        table.append(FRAME.head(2), batch_id="2", if_version=1)
    monkeypatch.undo()
    assert len(written[0]) == (2 if partition_by else 1)
    assert not written[0] & data_files(lake)
    assert table.at().count() == 3


def test_ctrl_c_while_a_file_is_written_leaves_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lake.table("t").append(FRAME)
    monkeypatch.undo()
    assert [p for p in Path(lake.root).rglob("*") if p.is_file()] == []


def test_names_of_files_sort_as_their_parts(tmp_path: Path) -> None:
    from raypipe.lake.log.prune import OURS
    from raypipe.lake.write.fused import WriteJob, write_part
    from raypipe.lake.write.sources import resolve

    job = WriteJob(
        folder=str(tmp_path / "t"),
        quarantine_folder=str(tmp_path / "q"),
        storage_options=None,
        spec=TableSpec.of_types({"a": pl.Int64()}),
        expect=(),
        attempt="0" * 32,
        batch="b",
        quarantine_prefix="batch-",
        allow_empty=False,
    )
    part = resolve(pl.DataFrame({"a": [1]})).parts[0]
    numbers = [0, 9, 10, 99_999, 100_000, 1_000_000]
    names = [write_part(job, (number, part)).files[0].path for number in numbers]
    assert names == sorted(names)
    # Files of both widths are known as written here: their statistics are of one kind.
    assert all(re.search(OURS, name) for name in [*names, f"part-{'0' * 32}-00007.parquet"])


def test_metadata_is_kept_in_history(lake: Lake) -> None:
    table = lake.table("t")
    table.append(FRAME, batch_id="b", metadata={"run": "r1"})
    entry = table.history(1)[0]
    assert (entry["version"], entry["rows"], entry["batch_id"]) == (1, 3, "b")
    assert entry["metadata"] == {"run": "r1"}
    assert entry["at"].tzinfo is None
    with pytest.raises(ConfigError, match="metadata"):
        table.append(FRAME, metadata={"run": object()})


@pytest.mark.parametrize("bad", [1, None, object(), [], [1], {"a": [1]}])
def test_other_data_is_refused(lake: Lake, bad: object) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        lake.table("t").append(bad)


def test_missing_sources(lake: Lake, tmp_path: Path) -> None:
    for path in ("no.csv", str(tmp_path / "*.csv"), str(tmp_path)):
        with pytest.raises(SourceNotFoundError):
            lake.table("t").append(path)
    with pytest.raises(ConfigError, match="folders and object stores"):
        lake.table("t").append("https://host/x.csv")
    with pytest.raises(ConfigError, match="carries a credential") as refused:
        lake.table("t").append("https://host/x.csv?signature=hunter2")
    assert "hunter2" not in str(refused.value)
    assert not lake.table("t").exists


def test_empty_data(lake: Lake) -> None:
    table = lake.table("t")
    with pytest.raises(EmptySourceError):
        table.append(FRAME.clear())
    assert not table.exists
    done = table.append(FRAME.clear(), allow_empty=True, batch_id="none")
    assert (done.version, done.rows) == (1, 0)
    assert table.at().frame().equals(FRAME.clear())
    assert table.at().schema == dict(FRAME.schema)
    assert table.append(FRAME, batch_id="none").applied_before


def test_an_unwritable_root_is_told_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeAccessError):
        Lake(tmp_path / "file" / "lake").table("t").append("never-looked-for.csv")


def test_a_failed_write_leaves_no_file(lake: Lake) -> None:
    table = lake.table("t", expect=[*expect.not_null("b")])
    with pytest.raises(ExpectationError, match=r"not_null\(b\).*1 rows") as caught:
        table.append(FRAME)
    assert caught.value.field == "b"
    assert lake.files.list() == []
    assert not table.exists
    assert lake.tables() == []


def test_time_travel_by_time(lake: Lake) -> None:
    table = lake.table("t")
    table.append(FRAME)
    first = table.history(1)[0]["at"]
    table.append(FRAME)
    assert table.at(timestamp=first).version == 1
    with pytest.raises(VersionNotFoundError):
        table.at(timestamp=datetime(1999, 1, 1))
    with pytest.raises(VersionNotFoundError, match="newest is 2"):
        table.at(version=3)
    with pytest.raises(ConfigError):
        table.at(version=1, timestamp=first)


def test_a_snapshot_does_not_move(lake: Lake) -> None:
    table = lake.table("t")
    table.append(FRAME)
    pinned = table.at()
    table.overwrite(FRAME.head(1))
    assert pinned.frame().equals(FRAME)


def test_partitions(lake: Lake) -> None:
    rows = pl.DataFrame({"k": ["a b/c%", None, "ü=1"], "n": [1, 2, 2], "v": [1.0, 2.0, 3.0]})
    table = lake.table("t", partition_by=["k", "n"])
    table.append(rows)
    assert table.at().frame().sort("v").equals(rows)
    assert pl.scan_delta(table.uri).select("k", "n", "v").collect().sort("v").equals(rows)
    assert len(table.at().where(pl.col("k") == "ü=1").parts()) < 3
    table.overwrite(rows)
    assert table.at().count() == 3
    assert lake.table("t").append(rows).rows == 3  # the table's own partitions are kept
    with pytest.raises(ConfigError, match="empty string"):
        table.append(rows.with_columns(k=pl.lit("")))


def test_nothing_shows_the_storage_options(tmp_path: Path) -> None:
    lake = Lake("s3://bucket/lake", {"AWS_SECRET_ACCESS_KEY": "hunter2"})
    for shown in (repr(lake), repr(lake.files), str(lake.__dict__.keys())):
        assert "hunter2" not in shown
    assert pickle.loads(pickle.dumps(lake)).storage_options == lake.storage_options


def test_reprs(lake: Lake) -> None:
    table = lake.table("t")
    assert "not written yet" in repr(table)
    done = table.append(FRAME)
    assert "rows=3" in repr(table)
    for shown in (table, lake, table.at(), done, table.check(FRAME)):
        assert shown._repr_html_().startswith("<table>")


def test_table_and_snapshot_travel(lake: Lake) -> None:
    table = lake.table("t")
    table.append(FRAME)
    assert pickle.loads(pickle.dumps(table)).at().frame().equals(FRAME)
    assert pickle.loads(pickle.dumps(table.at())).frame().equals(FRAME)
    part = pickle.loads(pickle.dumps(table.at().where(pl.col("a") > 1).parts()[0]))
    assert part.read(["a"])["a"].to_list() == [2, 3]
