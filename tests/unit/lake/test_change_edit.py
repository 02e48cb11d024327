"""Delete, update and overwrite of some rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import ConfigError, ExpectationError, SchemaError, TableNotFoundError
from raypipe.lake import Lake, Table, expect
from raypipe.lake.change.plan import new_name


def frame(keys: list[int | None], value: str = "old") -> pl.DataFrame:
    return pl.DataFrame({"k": keys, "v": [value] * len(keys)}, schema_overrides={"k": pl.Int64})


def files_of(table: Table) -> set[str]:
    return {part.uri for part in table.at().parts()}


@pytest.fixture
def table(lake_root: str) -> Table:
    """Three files with the keys 0 to 8."""
    made = Lake(lake_root).table("t")
    for first in (0, 3, 6):
        made.append(frame([first, first + 1, first + 2]))
    return made


def test_delete_keeps_other_files_and_the_order(table: Table) -> None:
    before = files_of(table)
    done = table.delete(pl.col("k") == 4)
    assert (done.deleted, done.version) == (1, 4)
    assert table.at().frame()["k"].to_list() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert len(before & files_of(table)) == 2
    assert table.at(version=3).count() == 9


def test_nothing_to_delete_is_no_commit(table: Table) -> None:
    before = set(Path(table.uri).rglob("*.parquet"))
    assert table.delete(pl.col("k") > 99).version == 3
    assert table.delete(pl.col("v") == "p").deleted == 0
    assert table.update(pl.col("k") > 99, {"v": "x"}).version == 3
    assert table.version() == 3
    assert set(Path(table.uri).rglob("*.parquet")) == before


def test_whole_files_go_without_being_read(table: Table) -> None:
    for part in table.at().where(pl.col("k") >= 3).parts():
        Path(part.uri).write_bytes(b"x" * part.nbytes)  # nobody can read these any more
    done = table.delete(pl.col("k") >= 3)
    assert done.deleted == 6
    assert table.at().frame()["k"].to_list() == [0, 1, 2]


def test_a_null_filter_lets_rows_be(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(frame([1, None, 3]))
    assert table.delete(pl.col("k") > 0).deleted == 2
    assert table.at().frame()["k"].to_list() == [None]
    assert table.delete(pl.lit(True)).deleted == 1
    assert table.at().count() == 0


def test_update_by_values_and_expressions(table: Table) -> None:
    done = table.update(pl.col("k") < 2, {"v": pl.col("v") + pl.col("v"), "k": pl.col("k") + 100})
    assert done.updated == 2
    assert table.at().frame().head(4).rows() == [(100, "oldold"), (101, "oldold"), (2, "old"),
                                                 (3, "old")]  # fmt: skip
    table.update(pl.col("k") == 8, {"v": None, "k": 9})
    assert table.at().frame().rows()[-1] == (9, None)


@pytest.mark.parametrize(
    ("sets", "kind", "message"),
    [
        ({"z": 1}, SchemaError, "no column 'z'"),
        ({"k": "text"}, SchemaError, "cannot have this value"),
        ({"k": pl.col("v")}, SchemaError, "does not fit the table's type"),
        ({"k": pl.col("y")}, SchemaError, "no column 'y'"),
        ({"k": pl.col("k").sum()}, ConfigError, "cannot be used"),
        ({}, ConfigError, "set maps columns"),
    ],
)
def test_updates_that_do_not_fit(table: Table, sets: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        table.update(pl.col("k") == 1, sets)
    assert table.version() == 3
    assert len(list(Path(table.uri).rglob("*.parquet"))) == 3


@pytest.mark.parametrize(
    ("where", "kind", "message"),
    [
        (pl.col("z") > 1, SchemaError, "no column 'z'"),
        (pl.col("k") + 1, SchemaError, "no true or false"),
        (pl.col("k") == pl.col("k").max(), ConfigError, "where cannot be used"),
        ("k > 1", ConfigError, "where cannot be used"),
    ],
)
def test_filters_that_do_not_fit(table: Table, where: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        table.delete(where)
    with pytest.raises(kind, match=message):
        table.overwrite(frame([1]), where=where)
    assert table.version() == 3


def test_an_update_must_meet_expectations(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=[expect.between("k", 0, 9, "quarantine")])
    table.append(frame([1, 2]))
    with pytest.raises(ExpectationError, match="does not hold after the update: got 1 rows"):
        table.update(pl.col("k") == 2, {"k": 10})
    assert table.at().frame()["k"].to_list() == [1, 2]


def test_no_table_no_change(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    for work in (
        lambda: table.delete(pl.col("k") > 1),
        lambda: table.update(pl.col("k") > 1, {"k": 1}),
        lambda: table.overwrite(frame([2]), where=pl.col("k") > 1),
    ):
        with pytest.raises(TableNotFoundError):
            work()


def test_rows_may_only_be_added(lake_root: str) -> None:
    table = Lake(lake_root).table("t", properties={"delta.appendOnly": True})
    table.append(frame([1]))
    for work in (
        lambda: table.delete(pl.col("k") == 1),
        lambda: table.update(pl.col("k") == 1, {"v": "x"}),
        lambda: table.merge(frame([1]), on="k"),
        lambda: table.overwrite(frame([1]), where=pl.col("k") == 1),
    ):
        with pytest.raises(ConfigError, match="appendOnly"):
            work()
    assert table.merge(frame([1, 2]), on="k", when_matched="ignore").inserted == 1


def test_overwrite_of_a_partition_touches_no_other_file(lake_root: str) -> None:
    table = Lake(lake_root).table("t", partition_by="v")
    table.append(pl.concat([frame([1, 2], "a"), frame([3], "b")]))
    kept = {uri for uri in files_of(table) if "v=b" in uri}
    table.overwrite(frame([7], "a"), where=pl.col("v") == "a")
    assert sorted(table.at().frame().rows()) == [(3, "b"), (7, "a")]
    assert kept < files_of(table)
    with pytest.raises(ExpectationError, match="overwrite"):
        table.overwrite(frame([8], "b"), where=pl.col("v") == "a")
    with pytest.raises(ExpectationError, match="overwrite"):
        table.overwrite(frame([None], "a"), where=pl.col("k") > 0)
    assert table.version() == 2
    assert len(list(Path(table.uri).rglob("part-*.parquet"))) == 3


def test_overwrite_of_rows_within_files(table: Table) -> None:
    done = table.overwrite(frame([4, 40], "new"), where=pl.col("k") >= 4)
    assert (done.rows, done.deleted) == (2, 5)
    assert table.at().frame()["k"].to_list() == [0, 1, 2, 3, 4, 40]
    table.overwrite(frame([]), where=pl.col("k") == 40, allow_empty=True)
    assert table.at().count() == 5


def test_batches_count_once(table: Table) -> None:
    assert table.delete(pl.col("k") == 99, batch_id="d").version == 4  # the mark is kept
    table.append(frame([99]))
    assert table.delete(pl.col("k") == 99, batch_id="d").applied_before
    assert 99 in table.at().frame()["k"].to_list()
    assert table.update(pl.col("k") == 1, {"v": "x"}, batch_id="u").updated == 1
    again = table.update(pl.col("k") == 2, {"v": "x"}, batch_id="u")
    assert (again.applied_before, again.updated) == (True, 1)


def test_rivals_on_one_file(table: Table) -> None:
    def work(number: int) -> None:
        own = Lake(str(Path(table.uri).parent)).table("t")
        own.update(pl.col("k") < 100, {"k": pl.col("k") + 100 if number < 0 else pl.col("k")})
        own.delete(pl.col("k") == number)
        own.append(frame([1000 + number]))

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(work, range(5)))
    now = table.at().frame()["k"].sort().to_list()
    assert now == [5, 6, 7, 8, *range(1000, 1005)]


def test_the_change_feed_of_other_readers(lake_root: str) -> None:
    table = Lake(lake_root).table(
        "t", properties={"delta.enableChangeDataFeed": True}, partition_by="v"
    )
    table.append(pl.concat([frame([1, 2, 3], "a"), frame([4], "b")]))
    table.update(pl.col("k") == 2, {"v": "b"})
    table.delete((pl.col("v") == "a") & (pl.col("k") > 0))
    table.overwrite(frame([5], "b"), where=pl.col("k") >= 4)
    feed = deltalake.DeltaTable(table.uri).load_cdf(2).read_all()
    told = pl.DataFrame(feed).select("_commit_version", "_change_type", "k", "v")
    assert set(told.rows()) == {
        (2, "update_preimage", 2, "a"),
        (2, "update_postimage", 2, "b"),
        (3, "delete", 1, "a"),
        (3, "delete", 3, "a"),
        (4, "delete", 4, "b"),
        (4, "insert", 5, "b"),
    }
    assert len(told) == 6


def test_an_update_cannot_double_a_key(table: Table) -> None:
    strict = Lake(table._lake.root).table("t", expect=[expect.unique("k")])
    with pytest.raises(ConfigError, match="unique"):
        strict.update(pl.col("k") == 2, {"k": 1})
    assert strict.update(pl.col("k") == 2, {"v": "new"}).updated == 1
    warned = Lake(table._lake.root).table("t", expect=[expect.unique("k", on_fail="warn")])
    assert warned.update(pl.col("k") == 2, {"k": 1}).updated == 1


def test_new_files_are_told_to_the_feed_with_the_options_that_polars_knows(
    lake_root: str,
) -> None:
    keys = {"max_retries": "3", "retry_timeout": "5s"}  # as deltalake spells them
    feed = {"delta.enableChangeDataFeed": True}
    table = Lake(lake_root, keys).table("t", properties=feed)
    table.append(pl.DataFrame({"a": [1, 2]}))
    table.overwrite(pl.DataFrame({"a": [2]}), where=pl.col("a") == 2)
    told = table.changes(1).frame().select("a", "_change_type").rows()
    assert sorted(told) == [(2, "delete"), (2, "insert")]


def test_files_of_another_engine_keep_apart_however_often_they_are_rewritten(
    lake_root: str,
) -> None:
    uri = f"{lake_root}/t"
    for first in (0, 3, 6):
        rows = frame([first, first + 1, first + 2]).to_arrow(compat_level=pl.CompatLevel.oldest())
        deltalake.write_deltalake(uri, rows, mode="append")
    table = Lake(lake_root).table("t")
    for key in (1, 4, 7):  # each a change of its own, in which it is the only file
        table.update(pl.col("k") == key, {"v": "once"})
    table.merge(frame([0, 3, 6], "merged"), on="k")
    table.update(pl.col("k") < 9, {"v": pl.col("v") + "!"})
    found = table.at().frame().sort("k")
    assert found["v"].to_list() == ["merged!", "once!", "old!"] * 3
    assert len(files_of(table)) == 3


def test_names_that_only_a_number_tells_apart_become_others() -> None:
    """Files that an older release rewrote, both of them the only one of their change."""
    paths = [f"d=1/part-{'0' * 32}-00000000-{one * 32}.parquet" for one in "ab"]
    attempt = "c" * 32
    first = [new_name(path, attempt, number) for number, path in enumerate(paths)]
    again = [new_name(path, "d" * 32, 0) for path in first]
    assert len(set(first)) == len(set(again)) == 2
    for path, then in zip(first, again, strict=True):
        assert then == path.replace(attempt, "d" * 32)  # the line goes on
    own = f"part-{'a' * 32}-00000007-0001.parquet"
    assert new_name(own, attempt, 3) == f"part-{'a' * 32}-00000007-0001-{attempt}.parquet"
