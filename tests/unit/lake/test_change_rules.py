"""What a table asks of its rows, asked of merges, updates and overwrites of some; and rivals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from deltalake import DeltaTable, Field, Schema

from raypipe.core.errors import ConfigError, ExpectationError, SchemaError
from raypipe.lake import Lake, Table, expect, masks
from raypipe.lake.change import filtered, merge

FEED = {"delta.enableChangeDataFeed": True}
KEY = masks.keyed_hash(b"k" * 32)


def frame(keys: list[Any], value: str = "old") -> pl.DataFrame:
    return pl.DataFrame({"k": keys, "v": [value] * len(keys)}, schema_overrides={"k": pl.Int64})


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    return sorted(table.at().frame().rows(), key=lambda row: [(x is None, x) for x in row])


def replayed(table: Table) -> None:
    """The changes of every version make of its rows those of the next; files are all in the log."""
    for version in range(1, table.version() + 1):
        before = table.at(version=version - 1).frame()
        rows = before.rows()
        for one in table.changes(version - 1, version).frame().iter_rows(named=True):
            row = tuple(one[name] for name in before.columns)
            if one["_change_type"] in ("delete", "update_preimage"):
                rows.remove(row)
            else:
                rows.append(row)
        assert sorted(rows, key=repr) == sorted(table.at(version=version).frame().rows(), key=repr)
    versions = range(table.version() + 1)
    in_log = {Path(part.uri) for v in versions for part in table.at(version=v).parts()}
    assert set(Path(table.uri).rglob("part-*.parquet")) == in_log


ODD = ["a b", "10%", "ä/ö", "x=y&z", "#+?", "%20"]


def test_rules_read_new_files_of_partitions_with_odd_names(lake_root: str) -> None:
    rule = expect.unique("k", on_fail="drop")
    table = Lake(lake_root).table("t", partition_by="v", expect=[rule], properties=FEED)
    rows = pl.DataFrame({"k": [1, 1, 2, 3, 4, 5, 6], "v": ["a b", *ODD]})
    assert table.append(rows).dropped == 1
    assert table.append(rows).dropped == 7
    for value in ODD:
        assert table.update(pl.col("v") == value, {"v": f"{value} é%"}).updated == 1
    replayed(table)


def test_what_changes_bring_is_masked(lake_root: str) -> None:
    pii = {"name": KEY}
    table = Lake(lake_root).table("t", pii=pii)
    table.append(pl.DataFrame({"k": [1, 2], "name": ["ann", "bob"]}))
    stored = dict(table.at().frame().rows())
    again = Lake(lake_root).table("t", pii=pii)
    again.merge(pl.DataFrame({"k": [1, 3], "name": ["bob", "ann"]}), on="k")
    assert dict(table.at().frame().rows()) == {1: stored[2], 2: stored[2], 3: stored[1]}
    again.overwrite(pl.DataFrame({"k": [2], "name": ["ann"]}), where=pl.col("k") == 2)
    assert dict(table.at().frame().rows()) == {1: stored[2], 2: stored[1], 3: stored[1]}
    with pytest.raises(ConfigError, match="masked"):
        again.update(pl.col("k") == 1, {"name": "eve"})
    assert again.delete(pl.col("k") == 1).deleted == 1
    for file in Path(lake_root).rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert b"ann" not in data, file
            assert b"bob" not in data, file


def test_keys_that_would_be_judged_beside_other_rows(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=[expect.unique("k", "v")])
    table.append(pl.DataFrame({"k": [1, 1], "v": ["a", "b"]}))
    with pytest.raises(ConfigError, match="cannot be asked in a merge"):
        table.merge(frame([1]), on="k")  # both rows would be the same
    with pytest.raises(ConfigError, match="cannot be asked in an update"):
        table.update(pl.col("k") == 1, {"v": "a"})
    assert table.merge(frame([1, 2]), on="k", when_matched="ignore").inserted == 1
    assert table.merge(frame([2, 3]), on=["k", "v"]).inserted == 1
    assert table.version() == 3


def test_foreign_keys_and_figures_of_changes(lake_root: str) -> None:
    lake = Lake(lake_root)
    lake.table("parent").append(pl.DataFrame({"id": [1, 2, 3]}))
    rules = [
        expect.foreign_key("k", lake.table("parent"), "id", on_fail="quarantine"),
        expect.row_count(1, 2),
    ]
    table = lake.table("t", expect=rules)
    assert table.merge(frame([1, 7]), on="k").quarantined == 1
    with pytest.raises(ExpectationError, match="row_count"):
        table.merge(frame([1, 2, 3]), on="k")
    done = table.overwrite(frame([2, 8], "new"), where=pl.col("v") == "new")
    assert (done.rows, done.quarantined) == (1, 1)
    with pytest.raises(ConfigError, match="foreign_key"):
        table.update(pl.col("k") == 1, {"k": 7})
    assert table.update(pl.col("k") == 1, {"v": "x"}).updated == 1
    assert rows_of(table) == [(1, "x"), (2, "new")]
    assert sorted(table.quarantine().at().frame()["k"]) == [7, 8]
    replayed(table)


def ruled(lake_root: str) -> Table:
    """A table of another engine with every kind of rule."""
    table = Lake(lake_root).table("t")
    double = {"delta.generationExpression": "a + 1"}
    fields = [
        Field("k", "long", nullable=False),
        Field("a", "long"),
        Field("g", "long", metadata=double),
    ]
    DeltaTable.create(table.uri, Schema(fields)).alter.add_constraint({"c": "a > 0"})
    table.append(pl.DataFrame({"k": [1, 2], "a": [10, 20]}))
    return table


def test_rules_of_the_log_hold_in_every_change(lake_root: str) -> None:
    table = ruled(lake_root)
    version = table.version()
    bad: list[Any] = [
        lambda: table.update(pl.col("k") == 1, {"a": -1, "g": 0}),
        lambda: table.update(pl.col("k") == 1, {"k": None}),
        lambda: table.update(pl.col("k") == 1, {"g": 5}),
        lambda: table.merge(pl.DataFrame({"k": [1], "a": [-1]}), on="k"),
        lambda: table.merge(pl.DataFrame({"k": [9], "a": [1], "g": [9]}), on="k"),
        lambda: table.overwrite(pl.DataFrame({"k": [1], "a": [0]}), where=pl.col("k") == 1),
        lambda: table.overwrite(
            pl.DataFrame({"k": [None], "a": [3]}, schema_overrides={"k": pl.Int64}),
            where=pl.col("k").is_null(),
        ),
    ]
    for work in bad:
        with pytest.raises((ExpectationError, SchemaError)):
            work()
    assert table.version() == version
    table.update(pl.col("k") == 1, {"a": 11})
    table.merge(pl.DataFrame({"k": [2, 3], "a": [21, 31]}), on="k")
    part = pl.DataFrame({"k": [2], "a": [22]})
    table.merge(part, on="k", update=["a"], when_not_matched="ignore")
    table.overwrite(pl.DataFrame({"k": [3], "a": [32]}), where=pl.col("k") == 3)
    assert rows_of(table) == [(1, 11, 12), (2, 22, 23), (3, 32, 33)]


class Rival:
    """Something that another writer does once, before a step of ours."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Any) -> None:
        plain, self.left = getattr(module, name), [act]

        def before(*given: Any, **named: Any) -> Any:
            if self.left:
                self.left.pop()()
            return plain(*given, **named)

        monkeypatch.setattr(module, name, before)


@pytest.mark.parametrize("on_fail", ["fail", "drop", "quarantine"])
def test_a_rival_with_the_same_unique_key_is_noticed(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, on_fail: Any
) -> None:
    lake = Lake(lake_root)
    table = lake.table("t", expect=[expect.unique("k", on_fail=on_fail)], properties=FEED)
    table.append(pl.concat([frame([1, 2], "here"), frame([3], "there")]))
    rival = Lake(lake_root).table("t")
    act = lambda: rival.append(frame([7], "there"))  # noqa: E731
    Rival(monkeypatch, filtered, "look", act)
    new, where = frame([7, 8, 8], "here") if on_fail != "fail" else frame([7, 8], "here"), "here"
    if on_fail == "fail":
        with pytest.raises(ExpectationError, match="unique"):
            table.overwrite(new, where=pl.col("v") == where)
        assert rows_of(table) == [(1, "here"), (2, "here"), (3, "there"), (7, "there")]
    else:
        done = table.overwrite(new, where=pl.col("v") == where, batch_id="b")
        assert done.rows == 1
        assert (done.dropped, done.quarantined)[on_fail == "quarantine"] == 2
        assert rows_of(table) == [(3, "there"), (7, "there"), (8, "here")]
        assert [one.failed for one in done.outcomes] == [2]
        if on_fail == "quarantine":
            assert sorted(table.quarantine().at().frame()["k"]) == [7, 8]
    replayed(table)


@pytest.mark.parametrize("feed", [True, False])
def test_rivals_of_changes_of_a_partitioned_table(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, feed: bool
) -> None:
    properties = FEED if feed else None
    table = Lake(lake_root).table("t", partition_by="v", properties=properties)
    table.append(pl.concat([frame([1, 2, 3], "a b"), frame([4, 5], "c")]))
    rival = Lake(lake_root).table("t")
    with monkeypatch.context() as patch:
        Rival(patch, filtered, "look", lambda: None)
        Rival(patch, filtered, "judge_whole", lambda: rival.append(frame([6], "a b")))
        table.overwrite(frame([10], "a b"), where=pl.col("v") == "a b")
    assert rows_of(table) == [(4, "c"), (5, "c"), (10, "a b")]
    with monkeypatch.context() as patch:
        act = lambda: rival.update(pl.col("k") == 4, {"v": "d"})  # noqa: E731
        Rival(patch, merge, "write_rows", act)
        source = pl.concat([frame([4, 20], "e"), frame([5], "a b")])
        done = table.merge(source, on="k")
    assert (done.updated, done.inserted) == (2, 1)
    assert rows_of(table) == [(4, "e"), (5, "a b"), (10, "a b"), (20, "e")]
    replayed(table)
    if feed:
        told = deltalake.DeltaTable(table.uri).load_cdf(table.version()).read_all()
        kinds = pl.DataFrame(told)["_change_type"].value_counts().rows()
        assert dict(kinds) == {"update_preimage": 2, "update_postimage": 2, "insert": 1}


def test_new_columns_join_by_a_merge(lake_root: str) -> None:
    Lake(lake_root).table("t", properties=FEED).append(frame([1, 2, 3]))
    table = Lake(lake_root).table("t", evolve="add")
    source = frame([2, 9], "new").with_columns(n=pl.Series([20, 90]), op=pl.lit("u"))
    with pytest.raises(ConfigError, match="Delta's own library"):
        table.merge(source.drop("op"), on="k", how="deltalake")
    done = table.merge(source, on="k", delete_when=pl.col("op") == "d")
    assert (done.version, done.updated, done.inserted) == (2, 1, 1)
    assert rows_of(table) == [
        (1, "old", None), (2, "new", 20), (3, "old", None), (9, "new", 90),
    ]  # fmt: skip
    assert table.at(version=1).frame().columns == ["k", "v"]
    with pytest.raises(SchemaError, match="'v' is missing"):
        table.merge(pl.DataFrame({"k": [2], "n": [5]}), on="k")  # and not: v becomes null
    extra = pl.DataFrame({"k": [1], "z": [1]})
    with pytest.raises(SchemaError, match="'z' of the frame is not known"):  # nothing would have it
        table.merge(extra, on="k", when_matched="delete", when_not_matched="ignore")
    assert table.at().frame().columns == ["k", "v", "n"]
    with pytest.raises(SchemaError, match="no column 'z'"):
        table.merge(extra, on="z", when_not_matched="ignore")
    assert table.delete(pl.col("n") == 90).deleted == 1
    assert table.update(pl.col("k") == 2, {"n": 21}).updated == 1
    wide = pl.DataFrame({"k": [3], "v": ["w"], "n": [30], "m": [0.5]})
    table.overwrite(wide, where=pl.col("k") == 3)
    assert rows_of(table) == [(1, "old", None, None), (2, "new", 21, None), (3, "w", 30, 0.5)]
    fixed = Lake(lake_root).table("t")
    with pytest.raises(SchemaError, match="not known"):
        fixed.merge(wide.with_columns(q=1), on="k")
