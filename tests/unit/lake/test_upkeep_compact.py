"""Compaction changes files and no row; restore brings back an older version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from raypipe.core.errors import (
    ConfigError,
    LakeError,
    SchemaError,
    TableNotFoundError,
    VersionNotFoundError,
)
from raypipe.lake import Lake, Table
from raypipe.lake.upkeep import compact as engine
from raypipe.lake.upkeep.auto import AUTO_EVERY, auto_due
from raypipe.lake.upkeep.plan import AUTO_FILES

NOW = timedelta(0)


def rows(first: int, count: int = 10) -> pl.DataFrame:
    return pl.DataFrame({"a": range(first, first + count), "g": [n % 3 for n in range(count)]})


def filled(root: str, commits: int = 12, **options: object) -> Table:
    table = Lake(root).table("t", **options)  # type: ignore[arg-type]
    for number in range(commits):
        table.append(rows(number * 10))
    return table


def test_small_files_become_one_and_rows_keep_their_order(lake_root: str) -> None:
    table = filled(lake_root)
    before = table.at().frame()
    done = table.compact()
    assert (done.files_removed, done.files_added, done.rows) == (12, 1, 120)
    assert done.version == table.version() == 13
    assert done.bytes_added < done.bytes_removed
    assert table.at().frame().equals(before)
    assert len(table.at().parts()) == 1
    assert table.at(version=12).frame().equals(before)
    assert table.compact().files_removed == 0
    assert table.version() == 13
    assert "120" in done._repr_html_()
    entry = table.history(1)[0]
    assert (entry["kind"], entry["version"]) == ("compact", 13)


def test_what_comes_after_is_read_after(lake_root: str) -> None:
    table = filled(lake_root, 3)
    table.compact()
    table.append(rows(1000))
    table.append(rows(500))
    table.compact()
    assert table.at().frame()["a"].to_list() == [
        *range(30), *range(1000, 1010), *range(500, 510),
    ]  # fmt: skip


def test_files_between_large_ones_keep_their_place(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"a": range(20_000)}))
    for number in range(3):
        table.append(pl.DataFrame({"a": [number]}))
    table.append(pl.DataFrame({"a": range(20_000)}))
    before = table.at().frame()
    done = table.compact(target_bytes=20_000)
    assert (done.files_removed, done.files_added) == (3, 1)
    assert table.at().frame().equals(before)


def test_files_of_one_commit_keep_their_order(lake_root: str, tmp_path: Path) -> None:
    for number in range(6):
        size = 3000 if number in (0, 5) else 5
        pl.DataFrame({"a": range(number * 10_000, number * 10_000 + size)}).write_parquet(
            tmp_path / f"{number}.parquet"
        )
    table = Lake(lake_root).table("t")
    table.append(str(tmp_path / "*.parquet"))
    before = table.at().frame()
    assert len(table.at().parts()) > 2
    target = max(part.nbytes for part in table.at().parts())
    assert table.compact(target_bytes=target).files_removed == 4
    assert table.at().frame().equals(before)


def test_partitions_stay_apart_and_keep_their_rows(lake_root: str) -> None:
    table = filled(lake_root, 4, partition_by="g")
    before = table.at().frame()
    done = table.compact()
    assert (done.files_removed, done.files_added) == (12, 3)
    after = table.at().frame()
    for g in range(3):
        assert after.filter(pl.col("g") == g).equals(before.filter(pl.col("g") == g))
    assert len(table.at().where(pl.col("g") == 1).parts()) == 1


def test_a_filter_chooses_files(lake_root: str) -> None:
    table = filled(lake_root, 4, partition_by="g")
    done = table.compact(where=pl.col("g") == 2)
    assert (done.files_removed, done.files_added) == (4, 1)
    assert len(table.at().parts()) == 9


def test_a_sorted_table_stays_sorted(lake_root: str) -> None:
    table = Lake(lake_root).table("t", sort_by="a")
    for number in (3, 1, 2):
        table.append(rows(number * 100))
    table.compact()
    (part,) = table.at().parts()
    assert part.read()["a"].is_sorted()
    assert table.at().count() == 30


def test_statistics_still_prune(lake_root: str) -> None:
    table = filled(lake_root)
    table.append(pl.DataFrame({"a": [5000, None], "g": [0, None]}))
    table.compact(target_bytes=table.at().parts()[0].nbytes * 3)
    assert 1 < len(table.at().parts()) < 13
    assert len(table.at().where(pl.col("a") > 4000).parts()) == 1
    assert table.at().where(pl.col("g").is_null()).count() == 1


def test_z_order_brings_both_columns_together(lake_root: str) -> None:
    side = 128
    grid = pl.DataFrame({"x": list(range(side)) * side, "y": sorted(list(range(side)) * side)})
    shuffled = grid.sample(fraction=1, shuffle=True, seed=7)
    table = Lake(lake_root).table("t")
    for start in range(0, shuffled.height, 1024):
        table.append(shuffled[start : start + 1024])
    assert len(table.at().where((pl.col("x") < 16) & (pl.col("y") < 16)).parts()) == 16
    size = sum(part.nbytes for part in table.at().parts())
    done = table.compact(z_order=["x", "y"], target_bytes=size // 16)
    assert done.files_added == 16
    assert table.at().frame().sort("y", "x").equals(grid)
    for where in (pl.col("x") < 16, pl.col("y") < 16):
        assert len(table.at().where(where).parts()) <= 4
    assert table.history(1)[0]["kind"] == "compact"


def test_nothing_is_written_for_nothing(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    with pytest.raises(TableNotFoundError):
        table.compact()
    table.append(rows(0))
    assert table.compact().version == 1
    assert table.version() == 1


def test_bad_arguments(lake_root: str) -> None:
    table = filled(lake_root, 2, partition_by="g")
    for bad in (0, 1.5, True):
        with pytest.raises(ConfigError, match="target_bytes"):
            table.compact(target_bytes=bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="where"):
        table.compact(where="a > 1")  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="laid out"):
        table.compact(z_order="nope")
    with pytest.raises(SchemaError, match="laid out"):
        table.compact(z_order=["a", "g"])
    with pytest.raises(ConfigError, match="at most 8"):
        table.compact(z_order=[f"c{n}" for n in range(9)])
    with pytest.raises(ConfigError):
        table.compact(run_on="moon")  # type: ignore[arg-type]
    assert table.version() == 2


def test_a_file_that_lost_rows_is_not_compacted(lake_root: str) -> None:
    table = filled(lake_root, 3)
    log = Path(table.uri) / f"_delta_log/{2:020d}.json"
    log.write_text(log.read_text().replace('numRecords\\":10', 'numRecords\\":11'))
    with pytest.raises(LakeError, match="30 rows, not 31"):
        Lake(lake_root).table("t").compact()
    assert len(list(Path(table.uri).glob("*.parquet"))) == 3


def test_overtaken_parts_are_dropped_and_the_rest_committed(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = filled(lake_root, 4, partition_by="g")
    before = table.at().frame().sort("a")
    seen = []

    def rival(name: str) -> None:
        if name == "upkeep:after-files" and not seen:
            seen.append(name)
            assert Lake(lake_root).table("t").compact(where=pl.col("g") == 1).files_removed == 4

    monkeypatch.setattr(engine, "fault_point", rival)
    done = table.compact()
    assert (done.files_removed, done.files_added) == (8, 2)
    assert table.at().frame().sort("a").equals(before)
    on_disk = [p for p in Path(table.uri).rglob("*.parquet") if "_delta_log" not in str(p)]
    assert len(on_disk) == 12 + 3  # what was overtaken is not left lying about


def test_an_overwrite_meanwhile_wins(lake_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = filled(lake_root, 4)
    seen = []

    def rival(name: str) -> None:
        if name == "upkeep:after-files" and not seen:
            seen.append(name)
            Lake(lake_root).table("t").overwrite(rows(7000))

    monkeypatch.setattr(engine, "fault_point", rival)
    table.compact()
    assert table.at().frame().equals(rows(7000))


RIVALS = """
import sys, polars as pl
from raypipe.core.errors import CommitConflictError
from raypipe.lake import Lake
kind, root, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
table = Lake(root).table("t")
if kind == "write":
    for n in range(25):
        table.append(pl.DataFrame({"w": [number] * 4, "n": range(n * 4, n * 4 + 4)}),
                     batch_id=f"{number}:{n}", run_on="local")
else:
    whole = False
    while not whole:  # the last time with all rows there
        whole = table.at().count() == 201
        try:
            table.compact(run_on="local")
        except CommitConflictError:
            pass
"""


def test_beside_writers_and_another_compactor_no_row_is_lost_or_doubled(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"w": [9], "n": [0]}))
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), "POLARS_MAX_THREADS": "1"}
    kinds = ["write", "write", "compact", "compact"]
    running = [
        subprocess.Popen([sys.executable, "-c", RIVALS, kind, lake_root, str(n)], env=env)
        for n, kind in enumerate(kinds)
    ]
    assert [process.wait(300) for process in running] == [0] * 4
    found = table.at().frame()
    for writer in range(2):
        assert found.filter(pl.col("w") == writer)["n"].to_list() == list(range(100))
    assert found.height == 201
    assert any(entry["kind"] == "compact" for entry in table.history())
    table.compact()
    assert table.at().frame().equals(found)


def test_writers_compact_when_small_files_pile_up(lake_root: str) -> None:
    auto = {"delta.autoOptimize.autoCompact": True}
    table = Lake(lake_root).table("t", properties=auto)
    for number in range(AUTO_FILES + AUTO_EVERY + 2):
        table.append(pl.DataFrame({"a": [number]}))
    assert len(table.at().parts()) < AUTO_FILES
    assert table.at().frame()["a"].to_list() == list(range(AUTO_FILES + AUTO_EVERY + 2))
    assert not auto_due(0)
    assert auto_due(AUTO_EVERY)


def test_a_compaction_that_fails_fails_no_write(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from raypipe.lake.upkeep import auto

    def broken(*_: object) -> None:
        raise LakeError("no")

    monkeypatch.setattr(auto, "compact", broken)
    table = filled(lake_root, AUTO_EVERY, properties={"delta.autoOptimize.autoCompact": True})
    assert table.version() == AUTO_EVERY
    assert "not compacted" in caplog.text


def test_restore_brings_rows_back_in_one_commit(lake_root: str) -> None:
    table = filled(lake_root, 3)
    then = table.at().frame()
    table.overwrite(rows(9000))
    table.append(rows(9500))
    done = table.restore(version=3)
    assert (done.version, done.rows, done.applied_before) == (6, 30, False)
    assert table.at().frame().equals(then)
    assert table.at(version=5).count() == 20
    again = table.restore(version=3)
    assert (again.version, again.applied_before) == (6, True)
    assert table.restore(version=5).rows == 20
    assert table.history(1)[0]["kind"] == "restore"
    assert Lake(lake_root).pins() == ()


def test_restore_to_a_time_and_to_the_beginning(lake_root: str) -> None:
    table = filled(lake_root, 2)
    at = table.history(1)[0]["at"]
    time.sleep(0.01)
    table.append(rows(500))
    assert table.restore(timestamp=at).version == 4
    assert table.at().count() == 20
    table.restore(version=0)
    assert table.at().count() == 0


def test_restore_after_a_checkpoint_and_a_compaction(lake_root: str) -> None:
    table = filled(lake_root, 30, partition_by="g")
    then = table.at(version=25).frame()
    table.compact()
    table.restore(version=25)
    assert table.at().frame().equals(then)
    stats = [json.loads(line)["add"]["stats"]
             for line in (Path(table.uri) / f"_delta_log/{table.version():020d}.json")
             .read_text().splitlines() if '"add"' in line]  # fmt: skip
    assert all("minValues" in one for one in stats)


def test_restore_brings_the_columns_of_then_back(lake_root: str) -> None:
    table = filled(lake_root, 2)
    then = table.at().frame()
    more = rows(70).with_columns(new=pl.lit("x"))
    write_deltalake(table.uri, more.to_arrow(), mode="append", schema_mode="merge")
    assert "new" in table.schema
    table.restore(version=2)
    assert dict(table.schema) == dict(then.schema)
    assert table.at().frame().equals(then)
    table.restore(version=3)
    assert table.at().frame()["new"].null_count() == 20


def test_floats_without_a_value_are_still_ruled_out_by_statistics(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    for low in (0.0, 100.0):
        for step in range(2):
            table.append(pl.DataFrame({"x": [low + step, low + step + 0.5]}))
    table.compact(target_bytes=2 * max(part.nbytes for part in table.at().parts()) + 50)
    assert len(table.at().parts()) == 2
    assert len(table.at().where(pl.col("x") > 50).parts()) == 1


def test_restore_needs_the_files_and_one_argument(lake_root: str) -> None:
    table = filled(lake_root, 1)
    table.overwrite(rows(100))
    table.overwrite(rows(200))
    Path(table.at(version=1).parts()[0].uri).unlink()
    with pytest.raises(LakeError, match="a file is gone"):
        table.restore(version=1)
    time.sleep(0.01)
    table.vacuum(retention=NOW)
    with pytest.raises(VersionNotFoundError):
        table.restore(version=2)
    with pytest.raises(VersionNotFoundError):
        table.restore(version=99)
    for bad in ({}, {"version": 1, "timestamp": table.history(1)[0]["at"]}, {"version": "1"}):
        with pytest.raises(ConfigError):
            table.restore(**bad)  # type: ignore[arg-type]
    assert table.at().frame().equals(rows(200))
