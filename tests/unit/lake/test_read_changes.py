"""Changes between versions: of commits with a change feed, and derived for those without."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import ConfigError, LakeError, VersionNotFoundError
from raypipe.lake import Lake, Table
from raypipe.lake.read.compare import compare
from tests.foreign import Foreign, deleting, field, removal

ROWS = pl.DataFrame({"a": [1, 2, 3, 4], "s": ["x", "y", "z", "w"], "k": ["p", "q", "p", "q"]})


def arrow(frame: pl.DataFrame) -> Any:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def told(table: Table, since: int, until: int | None = None) -> set[tuple[Any, ...]]:
    frame = table.changes(since, until).frame()
    return set(frame.select("_commit_version", "_change_type", "a", "s").iter_rows())


def apply(before: pl.DataFrame, changes: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The rows after the changes, as a sorted multiset."""
    rows = before.rows()
    for one in changes.iter_rows(named=True):
        row = tuple(one[name] for name in before.columns)
        if one["_change_type"] in ("delete", "update_preimage"):
            rows.remove(row)
        else:
            rows.append(row)
    return sorted(rows, key=repr)


def edited(uri: str, *, feed: bool) -> deltalake.DeltaTable:
    """A table that saw every kind of change, by Delta's own library."""
    settings = {"delta.enableChangeDataFeed": "true"} if feed else None
    deltalake.write_deltalake(uri, arrow(ROWS), partition_by=["k"], configuration=settings)
    new = pl.DataFrame({"a": [2, 9], "s": ["Y", "n"], "k": ["q", "q"]})
    merge = deltalake.DeltaTable(uri).merge(
        arrow(new), "t.a=s.a", source_alias="s", target_alias="t"
    )
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    deltalake.DeltaTable(uri).update({"s": "'U'"}, predicate="a=1")
    deltalake.DeltaTable(uri).delete("a=4")
    deltalake.write_deltalake(uri, arrow(ROWS.head(1)), mode="append")
    deltalake.DeltaTable(uri).optimize.compact()
    deltalake.write_deltalake(uri, arrow(ROWS.tail(1)), mode="overwrite")
    deltalake.DeltaTable(uri).restore(3)
    return deltalake.DeltaTable(uri)


def test_agrees_with_deltas_own_reader_on_a_change_feed(lake_root: str) -> None:
    other = edited(f"{lake_root}/t", feed=True)
    table = Lake(lake_root).table("t")
    for since, until in ((-1, 7), (0, 3), (3, 5), (5, 7)):
        mine = table.changes(since, until)
        theirs = pl.DataFrame(other.load_cdf(since + 1, until))
        expected = theirs.with_columns(
            pl.col("_commit_version").cast(pl.Int64),
            pl.col("_commit_timestamp").cast(pl.Datetime("us")),
        )
        found = mine.frame()
        assert found.schema == mine.schema
        order = ["_commit_version", "_change_type", "a", "s"]
        assert found.sort(order).equals(expected.select(found.columns).sort(order))
        assert mine.lazy().collect().equals(found)
    assert "after version=5, up to version=7" in repr(table.changes(5))
    assert "<td>7</td>" in table.changes(5)._repr_html_()


def test_without_a_change_feed_rows_are_compared(lake_root: str) -> None:
    edited(f"{lake_root}/t", feed=False)
    table = Lake(lake_root).table("t")
    assert told(table, 0, 3) == {
        (1, "delete", 2, "y"), (1, "insert", 2, "Y"), (1, "insert", 9, "n"),
        (2, "delete", 1, "x"), (2, "insert", 1, "U"),
        (3, "delete", 4, "w"),
    }  # fmt: skip
    versions = range(table.version() + 1)
    states = [table.at(version=v).frame() for v in versions]
    for since in versions:
        for until in versions[since:]:
            changes = table.changes(since, until).frame()
            assert apply(states[since], changes) == sorted(states[until].rows(), key=repr)


def test_our_merges_pair_by_their_keys_and_our_updates_by_place(lake_root: str) -> None:
    uri = f"{lake_root}/t"
    table = Lake(lake_root).table("t")
    table.append(ROWS.select("a", "s"))
    log = Path(uri, "_delta_log")

    def note(version: int, **noted: Any) -> None:
        path = log / f"{version:020d}.json"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["raypipe"] = noted
        path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")

    new = pl.DataFrame({"a": [2, 9], "s": ["Y", "n"]})
    merge = deltalake.DeltaTable(uri).merge(
        arrow(new), "t.a=s.a", source_alias="s", target_alias="t"
    )
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    note(2, on=["a"], updated=1, deleted=0)
    assert told(table, 1) == {
        (2, "update_preimage", 2, "y"), (2, "update_postimage", 2, "Y"), (2, "insert", 9, "n"),
    }  # fmt: skip
    pairs = table.changes(1).frame().filter(pl.col("_change_type").str.starts_with("update"))
    assert pairs["s"].to_list() == ["y", "Y"]


OLD = pl.DataFrame({"k": [1, 2, 2, None], "v": [[1], [2], None, [4]], "f": [0.5, float("nan")] * 2})


def kinds(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return [(row[-1], *row[:-1]) for row in frame.rows()]


def test_equal_rows_are_counted_not_merged() -> None:
    assert compare(OLD, OLD.reverse(), (), None).is_empty()
    twice = pl.concat([OLD, OLD.head(1)])
    assert kinds(compare(OLD, twice, (), None)) == [("insert", 1, [1], 0.5)]
    assert kinds(compare(twice, OLD, ("k",), None)) == [("delete", 1, [1], 0.5)]
    assert compare(OLD.clear(), OLD.clear(), ("k",), 5).is_empty()


def test_pairs_by_keys_and_by_place() -> None:
    new = OLD.with_columns(v=pl.Series([[1], [20], [30], [40]]))
    by_key = compare(OLD, new, ("k",), None)
    assert [row[0] for row in kinds(by_key)] == [
        "delete", "update_preimage", "update_postimage", "update_preimage", "update_postimage",
        "insert",
    ]  # fmt: skip
    assert by_key["v"].to_list() == [[4], [2], [20], None, [30], [40]]  # null is nobody's key
    by_place = compare(OLD, new, (), 3)
    assert by_place["_change_type"].to_list() == ["update_preimage", "update_postimage"] * 3
    assert by_place["v"].to_list() == [[2], [20], None, [30], [4], [40]]
    # More changed places than the commit updated: the rows were moved, so places tell nothing.
    assert compare(OLD, OLD.reverse(), (), 1).is_empty()


def test_deletion_vectors_in_the_log(lake_root: str) -> None:
    made = Foreign(
        f"{lake_root}/t", [field("a", "long"), field("s", "string")], features=["deletionVectors"]
    )
    rows = ROWS.select("a", "s")
    add = made.file("a.parquet", rows)
    made.commit(add)
    once = deleting(add, [1])
    made.commit(removal(add), once, operation="DELETE")
    made.commit(removal(once), deleting(add, [1, 3]), operation="DELETE")
    made.commit(removal(deleting(add, [1, 3])), operation="DELETE")
    table = Lake(lake_root).table("t")
    assert told(table, 1) == {
        (2, "delete", 2, "y"), (3, "delete", 4, "w"), (4, "delete", 1, "x"), (4, "delete", 3, "z"),
    }  # fmt: skip


@pytest.mark.parametrize("operation", ["RESTORE", "WRITE", "DELETE"])
def test_a_file_that_only_changes_its_vector(lake_root: str, operation: str) -> None:
    """Whatever the commit calls itself, rows that both vectors keep or delete did not change."""
    made = Foreign(f"{lake_root}/t", [field("n", "long")], features=["deletionVectors"])
    add = made.file("a.parquet", pl.DataFrame({"n": range(10)}))
    other = made.file("b.parquet", pl.DataFrame({"n": [20]}))
    made.commit(add, other)
    made.commit(removal(add), deleting(add, [0, 1, 4, 5]), operation="DELETE")
    third = made.file("c.parquet", pl.DataFrame({"n": [30]}))
    before, after = deleting(add, [0, 1, 4, 5]), deleting(add, [3, 4, 5])
    made.commit(removal(before), after, removal(other), third, operation=operation)
    made.commit(removal(after), add, operation=operation)
    found = Lake(lake_root).table("t").changes(since=2).frame()
    assert set(found.select("_commit_version", "_change_type", "n").rows()) == {
        (3, "insert", 0), (3, "insert", 1), (3, "delete", 3), (3, "delete", 20), (3, "insert", 30),
        (4, "insert", 3), (4, "insert", 4), (4, "insert", 5),
    }  # fmt: skip
    assert found.height == 8


def test_columns_that_came_later_are_null_before(lake_root: str) -> None:
    uri = f"{lake_root}/t"
    deltalake.write_deltalake(uri, arrow(ROWS))
    more = ROWS.head(1).with_columns(new=pl.lit(1))
    deltalake.write_deltalake(uri, arrow(more), mode="append", schema_mode="merge")
    frame = Lake(lake_root).table("t").changes(-1).frame()
    assert frame["new"].to_list() == [None] * 4 + [1]
    assert frame.columns[-3:] == ["_change_type", "_commit_version", "_commit_timestamp"]
    assert frame["_commit_timestamp"][0] > datetime(2020, 1, 1)
    older = Lake(lake_root).table("t").changes(-1, 0).frame()
    assert "new" not in older.columns


def test_what_cannot_be_told(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    for k in range(4):
        table.append(pl.DataFrame({"a": [k], "s": ["x"]}))
    assert table.changes(4).frame().is_empty()
    for bad in ((4, 2), ("x", None), (True, None)):
        with pytest.raises(ConfigError):
            table.changes(*bad)  # type: ignore[arg-type]
    for missing in ((9, None), (0, 9), (-2, None)):
        with pytest.raises(VersionNotFoundError):
            table.changes(*missing)
    other = deltalake.DeltaTable(table.uri)
    other.create_checkpoint()
    for version in range(3):
        Path(table.uri, "_delta_log", f"{version:020d}.json").unlink()
    with pytest.raises(VersionNotFoundError, match=r"oldest version .* is 3: ask for since=2"):
        table.changes(0)
    assert told(table, 2) == {(3, "insert", 2, "x"), (4, "insert", 3, "x")}
    Path(table.at().parts()[3].uri).unlink()
    with pytest.raises(LakeError, match="gone"):
        table.changes(2).frame()
