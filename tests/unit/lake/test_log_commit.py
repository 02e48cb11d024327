"""What a commit may take for granted: each rule with a real rival commit between."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import CommitConflictError, ConfigError, LakeError, SchemaError
from raypipe.expressions import encode
from raypipe.lake import Column, Lake, Table, TableSpec
from raypipe.lake.log.commit import (
    Change,
    Committed,
    FilesMoved,
    ReadSet,
    SchemaMoved,
    commit,
)
from raypipe.lake.log.stats import delta_stats
from raypipe.lake.log.written import WrittenFile

FEED = {"delta.enableChangeDataFeed": True}


@pytest.fixture
def table(lake_root: str) -> Table:
    """Three commits of one file each: a in 0..9, 10..19, 20..29."""
    table = Lake(lake_root).table("t")
    for start in (0, 10, 20):
        table.append(pl.DataFrame({"a": range(start, start + 10)}))
    return table


def spec(table: Table) -> TableSpec:
    return table.at()._pinned.spec


def paths(table: Table) -> list[str]:
    return table.at()._pinned.files["path"].to_list()


def written(table: Table, name: str, frame: pl.DataFrame, **more: Any) -> WrittenFile:
    target = Path(table.uri) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(target)
    return WrittenFile(name, target.stat().st_size, delta_stats(frame), **more)


def rows(table: Table) -> list[int]:
    ours = sorted(Lake(table._lake.root).table(table.name).at().frame()["a"])
    arrow = deltalake.DeltaTable(table.uri).to_pyarrow_table()
    assert sorted(arrow["a"].to_pylist()) == ours
    assert sorted(pl.scan_delta(table.uri).collect()["a"]) == ours
    return ours


def rewrite(table: Table, number: int, frame: pl.DataFrame, name: str, **more: Any) -> Change:
    """A change that puts a file in the place of one of the table's."""
    return Change(
        files=(written(table, name, frame),),
        spec=spec(table),
        remove_paths=(paths(table)[number],),
        attempt=name,
        **more,
    )


def test_changes_of_different_files_both_go_through(table: Table) -> None:
    first = rewrite(table, 0, pl.DataFrame({"a": [100]}), "x.parquet", operation="MERGE")
    second = rewrite(table, 1, pl.DataFrame({"a": [200]}), "y.parquet", operation="DELETE")
    assert commit(table._log, first).version == 4
    assert commit(table._log, second).version == 5
    assert rows(table) == [*range(20, 30), 100, 200]
    assert [one["kind"] for one in table.history(2)] == ["DELETE", "MERGE"]


def test_a_file_that_a_rival_removed_ends_a_change(table: Table) -> None:
    change = rewrite(table, 0, pl.DataFrame({"a": [100]}), "x.parquet")
    deltalake.DeltaTable(table.uri).optimize.compact()
    before = rows(table)
    with pytest.raises(FilesMoved):
        commit(table._log, change)
    assert rows(table) == before == list(range(30))


def test_a_file_that_never_was_there_cannot_be_removed(table: Table) -> None:
    with pytest.raises(FilesMoved):
        commit(table._log, Change(spec=spec(table), remove_paths=("no.parquet",)))


def test_rows_that_came_later_end_a_change_only_where_they_may_match(table: Table) -> None:
    low = encode(pl.col("a") < 5)
    read = ReadSet(table.version(), low)
    change = rewrite(table, 0, pl.DataFrame({"a": [7]}), "x.parquet", read=read)
    everything = replace(change, read=ReadSet(table.version()), attempt="all")
    table.append(pl.DataFrame({"a": [50, 60]}))  # no row below 5
    with pytest.raises(FilesMoved):
        commit(table._log, everything)
    table.append(pl.DataFrame({"a": [3, 70]}))  # one row below 5
    with pytest.raises(FilesMoved):
        commit(table._log, change)
    again = replace(change, read=ReadSet(table.version() - 1, low))
    with pytest.raises(FilesMoved):
        commit(table._log, again)
    assert commit(table._log, replace(change, read=ReadSet(table.version(), low))).version == 6
    assert rows(table) == sorted([*range(10, 30), 7, 50, 60, 3, 70])


def test_rows_that_came_later_and_cannot_match_do_not_end_a_change(table: Table) -> None:
    read = ReadSet(table.version(), encode(pl.col("a") < 5))
    change = rewrite(table, 0, pl.DataFrame({"a": [7]}), "x.parquet", read=read)
    table.append(pl.DataFrame({"a": [50, 60]}))
    assert commit(table._log, change).version == 5


def test_rows_that_came_and_were_merged_with_others_end_a_change(table: Table) -> None:
    read = ReadSet(table.version(), encode(pl.col("a") == 1))
    change = Change(
        files=(written(table, "x.parquet", pl.DataFrame({"a": [1]})),), spec=spec(table), read=read
    )
    table.append(pl.DataFrame({"a": [50]}))
    deltalake.DeltaTable(table.uri).optimize.compact()
    with pytest.raises(FilesMoved):
        commit(table._log, change)


def test_a_compaction_brings_no_rows_that_a_decision_would_not_know(table: Table) -> None:
    read = ReadSet(table.version(), encode(pl.col("a") == 100))
    change = Change(
        files=(written(table, "x.parquet", pl.DataFrame({"a": [100]})),),
        spec=spec(table),
        read=read,
    )
    deltalake.DeltaTable(table.uri).optimize.compact()
    commit(table._log, change)
    assert rows(table) == [*range(30), 100]


def test_a_log_that_was_cleaned_since_ends_a_change(table: Table) -> None:
    read = ReadSet(1, encode(pl.col("a") == 100))
    change = Change(spec=spec(table), read=read, remove_paths=(paths(table)[0],))
    deltalake.DeltaTable(table.uri).create_checkpoint()
    (Path(table.uri) / "_delta_log" / f"{2:020d}.json").unlink()
    with pytest.raises(FilesMoved):
        commit(table._log, change)


def test_a_batch_that_was_committed_is_not_committed_again(table: Table) -> None:
    file = written(table, "x.parquet", pl.DataFrame({"a": [100]}))
    change = Change(files=(file,), spec=spec(table), app_id="batch:1", attempt="one")
    assert commit(table._log, change) == Committed(4, {"attempt": "one", "stamp": stamp(table, 4)})
    again = commit(table._log, replace(change, attempt="two"))
    assert (again.version, again.applied_before) == (4, True)
    # From an own and a fresh look alike.
    fresh = Lake(table._lake.root).table("t")
    assert commit(fresh._log, replace(change, attempt="three")).applied_before
    assert rows(table) == [*range(30), 100]


def stamp(table: Table, version: int) -> int:
    return int(action(table, version, "commitInfo")["raypipe"]["stamp"])


def action(table: Table, version: int, kind: str) -> dict[str, Any]:
    text = (Path(table.uri) / "_delta_log" / f"{version:020d}.json").read_text()
    return next(line[kind] for line in map(json.loads, text.splitlines()) if kind in line)


def test_a_compare_and_swap_on_a_version(table: Table) -> None:
    change = rewrite(table, 0, pl.DataFrame({"a": [100]}), "x.parquet", if_version=3)
    table.append(pl.DataFrame({"a": [50]}))
    with pytest.raises(CommitConflictError):
        commit(table._log, change)


def test_files_that_are_not_there_as_they_were_written(table: Table) -> None:
    file = written(table, "x.parquet", pl.DataFrame({"a": [100]}))
    bad = [
        (replace(file, path="other.parquet"), LakeError),
        (replace(file, size_bytes=file.size_bytes + 1), LakeError),
        (replace(file, stats="{}"), LakeError),
        (replace(file, stats='{"numRecords": -1}'), LakeError),
        (replace(file, stats="no"), LakeError),
        (replace(file, partition=(("a", "1"),)), SchemaError),
    ]
    for one, error in bad:
        with pytest.raises(error):
            commit(table._log, Change(files=(one,), spec=spec(table)))
    assert table.version() == 3


def test_one_file_twice_in_a_commit(table: Table) -> None:
    file = written(table, "x.parquet", pl.DataFrame({"a": [100]}))
    with pytest.raises(ConfigError):
        commit(table._log, Change(files=(file, file), spec=spec(table)))
    assert table.version() == 3


def test_a_null_where_none_may_be(lake_root: str) -> None:
    columns = {"a": Column(pl.Int64(), nullable=False), "b": Column(pl.Int64())}
    table = Lake(lake_root).table("t", schema=columns)
    table.append(pl.DataFrame({"a": [1], "b": [None]}, schema={"a": pl.Int64, "b": pl.Int64}))
    file = written(table, "x.parquet", pl.DataFrame({"a": [1, None], "b": [1, 2]}))
    with pytest.raises(SchemaError, match="takes no null") as caught:
        commit(table._log, Change(files=(file,), spec=spec(table)))
    assert caught.value.field == "a"


def test_files_of_a_schema_that_moved(table: Table) -> None:
    old = spec(table)
    file = written(table, "x.parquet", pl.DataFrame({"a": [100]}))
    evolved = old.with_columns({"b": Column(pl.String())})
    more = written(table, "y.parquet", pl.DataFrame({"a": [1], "b": ["x"]}))
    both = Change(files=(more,), spec=old, evolve=evolved, attempt="e")
    assert commit(table._log, both).version == 4
    assert table.at(version=3).schema.keys() == {"a"}
    # Nullable columns may be missing in a file, so what was written before still fits.
    assert commit(table._log, Change(files=(file,), spec=old)).version == 5
    assert table.at().frame().filter(pl.col("a") == 100)["b"].to_list() == [None]
    # But a decision on the table's columns must be made again, and so must another type.
    with pytest.raises(SchemaMoved):
        commit(table._log, replace(both, attempt="f"))
    other = old.with_columns({"b": Column(pl.Int64())})
    with pytest.raises(SchemaMoved):
        commit(table._log, Change(files=(file,), spec=other))
    assert rows(table) == sorted([*range(30), 100, 1])


def test_what_a_table_with_rows_cannot_become(table: Table) -> None:
    old = spec(table)
    bad = [
        TableSpec({"b": Column(pl.Int64())}, (), old.properties),
        old.with_columns({"a": Column(pl.String())}),
        old.with_columns({"a": Column(pl.Int64(), nullable=False)}),
        old.with_columns({"b": Column(pl.Int64(), nullable=False)}),
        replace(old, partition_by=("a",)),
        replace(old, properties={**old.properties, "delta.constraints.c": "a > 0"}),
    ]
    for one in bad:
        with pytest.raises(ConfigError):
            commit(table._log, Change(spec=old, evolve=one))
    assert commit(table._log, Change(spec=old, evolve=bad[0], remove="all")).version == 4
    assert table.at().schema == {"b": pl.Int64()}


def test_a_change_feed_that_began_meanwhile_ends_a_change(table: Table) -> None:
    change = rewrite(table, 0, pl.DataFrame({"a": [100]}), "x.parquet")
    deltalake.DeltaTable(table.uri).alter.set_table_properties(
        {"delta.enableChangeDataFeed": "true"}
    )
    with pytest.raises(SchemaMoved):
        commit(table._log, change)


def test_change_files_are_what_the_feed_reads(lake_root: str) -> None:
    table = Lake(lake_root).table("t", properties=FEED)
    table.append(pl.DataFrame({"a": [1, 2, 3]}))
    changed = pl.DataFrame({"a": [2, 20], "_change_type": ["update_preimage", "update_postimage"]})
    change = rewrite(
        table,
        0,
        pl.DataFrame({"a": [1, 20, 3]}),
        "x.parquet",
        operation="UPDATE",
        change_files=(written(table, "_change_data/c.parquet", changed),),
    )
    commit(table._log, change)
    feed = deltalake.DeltaTable(table.uri).load_cdf(starting_version=2).read_all()
    assert pl.DataFrame(feed).select("a", "_change_type").rows() == changed.rows()
    with pytest.raises(ConfigError, match="_change_data"):
        commit(table._log, replace(change, remove_paths=(), files=(), change_files=change.files))


def test_rewritten_rows_keep_their_place_in_the_order(table: Table) -> None:
    files = table.at()._pinned.files
    first, second = files["path"][:2]
    merged = written(
        table,
        "z.parquet",
        pl.DataFrame({"a": range(20)}),
        stamp=int(files["modification_time"][0]),
    )
    change = Change(
        files=(merged,),
        spec=spec(table),
        remove_paths=(first, second),
        data_change=False,
        keep_stamps=True,
        operation="OPTIMIZE",
    )
    commit(table._log, change)
    assert table.at().frame()["a"].to_list() == list(range(30))
    add = action(table, 4, "add")
    assert add["dataChange"] is False
    assert action(table, 4, "remove")["dataChange"] is False


def test_an_append_only_table_takes_rewrites_but_no_removal(lake_root: str) -> None:
    table = Lake(lake_root).table("t", properties={"delta.appendOnly": True})
    table.append(pl.DataFrame({"a": [1, 2]}))
    change = rewrite(table, 0, pl.DataFrame({"a": [1, 2]}), "x.parquet")
    with pytest.raises(ConfigError, match="appendOnly"):
        commit(table._log, change)
    commit(table._log, replace(change, data_change=False))
    assert rows(table) == [1, 2]


def test_changes_that_cannot_be() -> None:
    empty = TableSpec({})
    with pytest.raises(ConfigError):
        Change(spec=empty, remove="all", remove_paths=("x",))
    with pytest.raises(ConfigError):
        Change(spec=empty, data_change=False)
    with pytest.raises(ConfigError):
        Change(spec=empty, files=(WrittenFile("x", 1, "{}"),), keep_stamps=True)


def test_partitioned_files_leave_with_their_values(lake_root: str) -> None:
    table = Lake(lake_root).table("t", partition_by="p")
    table.append(pl.DataFrame({"p": ["x y", "ü%=", None], "a": [1, 2, 3]}))
    table.overwrite(pl.DataFrame({"p": ["q"], "a": [4]}))
    gone = [
        json.loads(line)["remove"]["partitionValues"]["p"]
        for line in (Path(table.uri) / "_delta_log" / f"{2:020d}.json").read_text().splitlines()
        if '"remove"' in line
    ]
    assert sorted(gone, key=str) == [None, "x y", "ü%="]
    assert rows(table) == [4]
