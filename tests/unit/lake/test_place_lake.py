"""A lake in an object store does what one in a folder does: S3 and Azure, real servers."""

from __future__ import annotations

import pickle
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    MissingPartError,
    SourceNotFoundError,
    TableNotFoundError,
)
from raypipe.lake import Lake, expect
from raypipe.lake.storage.store import open_store
from tests.object_stores import Place


def rows(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"a": list(numbers), "b": [f"b{n}" for n in numbers]})


def test_a_table_from_its_making_to_its_history(remote: Lake) -> None:
    table = remote.table("t")
    assert not table.exists
    assert remote.tables() == []
    with pytest.raises(TableNotFoundError):
        table.at()
    assert table.append(rows(1, 2), batch_id="one").version == 1
    before = datetime.now(UTC)
    assert table.append(rows(3), batch_id="two").version == 2
    again = table.append(rows(3), batch_id="two")
    assert again.applied_before
    assert again.version == 2
    assert table.has_batch("two")
    assert not table.has_batch("three")
    other = pickle.loads(pickle.dumps(remote)).table("t")  # another process's look at it
    assert_frame_equal(other.at().frame(), rows(1, 2, 3))
    assert other.at().where(pl.col("a") > 2).frame()["b"].to_list() == ["b3"]
    assert len(other.at().where(pl.col("a") > 2).parts()) == 1
    assert table.overwrite(rows(9)).version == 3
    assert other.version() == 3
    assert_frame_equal(other.at().frame(), rows(9))
    assert_frame_equal(other.at(version=2).frame(), rows(1, 2, 3))
    assert_frame_equal(other.at(timestamp=before).frame(), rows(1, 2))
    assert [h["kind"] for h in table.history()][:3] == ["overwrite", "append", "append"]
    with pytest.raises(CommitConflictError):
        table.append(rows(1), if_version=1)
    assert remote.tables() == ["t"]
    snapshot = remote.snapshot(other.at(version=1).identity())
    assert pickle.loads(pickle.dumps(snapshot)).count() == 2


def test_refused_rows_and_partitions(remote: Lake) -> None:
    table = remote.table(
        "t", expect=[expect.between("a", 0, 5, on_fail="quarantine")], partition_by="b"
    )
    frame = pl.DataFrame({"a": [1, 2, 9], "b": ["x/ y%", "ä=1", "x/ y%"]})
    done = table.append(frame, batch_id="one")
    assert (done.rows, done.quarantined) == (2, 1)
    assert table.quarantine().at().frame()["a"].to_list() == [9]
    assert table.at().frame().sort("a").rows() == [(1, "x/ y%"), (2, "ä=1")]
    assert table.at().where(pl.col("b") == "ä=1").count() == 1
    assert remote.tables() == ["t", "t__checks", "t__quarantine"]


def test_a_long_log_with_checkpoints(remote: Lake) -> None:
    table, follower = remote.table("t"), remote.table("t")
    for n in range(25):
        table.append(rows(n))
        assert follower.version() == n + 1
    assert follower.at().frame()["a"].to_list() == list(range(25))
    assert remote.table("t").at(version=3).count() == 3
    assert any(
        "checkpoint" in name
        for name in open_store(table.uri, remote.storage_options).newer("_delta_log", "")
    )


def test_keys_from_the_environment(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.options.items():
        monkeypatch.setenv(name, value)
    lake = Lake(f"{s3.root}/{uuid.uuid4().hex[:8]}")
    lake.table("t").append(rows(1, 2))
    assert_frame_equal(lake.table("t").at().frame(), rows(1, 2))
    assert lake.files.list("t")


def test_files(remote: Lake) -> None:
    files = remote.files
    files.put("models/m/1 ä", b"one")
    files.put("models/m/1 ä", b"two")
    assert files.get("models/m/1 ä") == b"two"
    assert files.exists("models/m")
    assert files.list() == files.list("models") == ["models/m/1 ä"]
    with pytest.raises(SourceNotFoundError):
        files.get("models/m")
    remote.table("t").append(rows(1))
    for act in (lambda: files.delete("t"), lambda: files.put("t/x", b"")):
        with pytest.raises(ConfigError, match="table"):
            act()
    files.delete("models")
    assert not files.exists("models")


def test_a_failed_write_leaves_no_file(remote: Lake) -> None:
    table = remote.table("t", expect=[expect.between("a", 0, 5, on_fail="fail")])
    table.append(rows(1))
    left = remote.files.list("t")
    with pytest.raises(ValueError, match="between"):
        table.append(rows(1, 9))
    with pytest.raises(CommitConflictError):
        table.append(rows(1), if_version=9)
    assert remote.files.list("t") == left


def test_without_the_extra_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingPartError, match=r"pip install .raypipe\[cloud\]"):
        Lake("s3://box/lake")


def test_an_azure_root_may_name_its_container_before_the_host() -> None:
    assert Lake("abfss://box@account.dfs.core.windows.net/lake").root.startswith("abfss://box@")
    with pytest.raises(ConfigError, match="credential"):
        Lake("abfss://box:key@account.dfs.core.windows.net/lake")
    with pytest.raises(ConfigError, match="credential"):
        Lake("s3://key@box/lake")


def test_nothing_is_written_beside_the_lake(remote: Lake) -> None:
    folder = sorted(Path.cwd().iterdir())
    remote.table("t").append(rows(1))
    assert sorted(Path.cwd().iterdir()) == folder
