"""Merge: what becomes of source rows and of the table's, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, ExpectationError, SchemaError
from raypipe.lake import Lake, Table, expect


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    return sorted(table.at().frame().rows())


def frame(keys: list[Any], value: str = "new", seq: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        {"k": keys, "v": [value] * len(keys), "seq": [seq] * len(keys)},
        schema_overrides={"seq": pl.Int64},
    )


@pytest.fixture
def table(lake_root: str) -> Table:
    """Three files with the keys 0 to 8."""
    made = Lake(lake_root).table("t")
    for first in (0, 3, 6):
        made.append(frame([first, first + 1, first + 2], "old"))
    return made


def test_rows_are_updated_inserted_and_counted(table: Table) -> None:
    done = table.merge(frame([2, 4, 20]), on="k")
    assert (done.inserted, done.updated, done.deleted) == (1, 2, 0)
    assert (done.rows, done.rows_in, done.version) == (3, 3, 4)
    now = table.at().frame()
    assert now["k"].to_list() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 20]  # rows keep their order
    assert now.filter(v="new")["k"].to_list() == [2, 4, 20]
    assert table.at(version=3).frame().filter(v="new").height == 0


def test_only_files_with_such_keys_are_written_anew(table: Table) -> None:
    before = set(Path(table.uri).glob("*.parquet"))
    table.merge(frame([4]), on="k")
    assert len(set(Path(table.uri).glob("*.parquet")) - before) == 1
    table.merge(frame([100]), on="k", how="rewrite")
    assert len(set(Path(table.uri).glob("*.parquet")) - before) == 2


@pytest.mark.parametrize(
    ("matched", "missing", "keys", "news"),
    [
        ("update", "insert", {0, 1, 2, 3, 4, 5, 6, 7, 8, 20}, {2, 20}),
        ("update", "ignore", {0, 1, 2, 3, 4, 5, 6, 7, 8}, {2}),
        ("delete", "insert", {0, 1, 3, 4, 5, 6, 7, 8, 20}, {20}),
        ("delete", "ignore", {0, 1, 3, 4, 5, 6, 7, 8}, set()),
        ("ignore", "insert", {0, 1, 2, 3, 4, 5, 6, 7, 8, 20}, {20}),
    ],
)
def test_what_matched_and_unmatched_rows_do(
    table: Table, matched: Any, missing: Any, keys: set[int], news: set[int]
) -> None:
    table.merge(frame([2, 20]), on="k", when_matched=matched, when_not_matched=missing)
    now = table.at().frame()
    assert set(now["k"]) == keys
    assert set(now.filter(v="new")["k"]) == news


def test_only_newer_rows_take_effect(table: Table) -> None:
    table.merge(frame([1], "at 5", 5), on="k", newer_by="seq")
    assert table.merge(frame([1], "at 5 again", 5), on="k", newer_by="seq").version == 4
    assert table.merge(frame([1], "at 4", 4), on="k", newer_by="seq").updated == 0
    several = pl.concat([frame([1, 30], "at 9", 9), frame([1, 30], "at 7", 7)])
    done = table.merge(several, on="k", newer_by="seq")
    assert (done.updated, done.inserted) == (1, 1)
    now = table.at().frame().filter(pl.col("k").is_in([1, 30]))
    assert now.rows() == [(1, "at 9", 9), (30, "at 9", 9)]


def test_an_absent_sequence_is_older_than_all(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(
        pl.DataFrame({"k": [1], "v": ["old"], "seq": [None]}, schema_overrides={"seq": int})
    )
    assert table.merge(frame([1], seq=-9), on="k", newer_by="seq").updated == 1


def test_the_same_row_twice_is_one_row(table: Table) -> None:
    twice = pl.concat([frame([1], "x", 3)] * 2)
    assert table.merge(twice, on="k", newer_by="seq").updated == 1
    two = pl.concat([frame([1], "x", 4), frame([1], "y", 4)])
    with pytest.raises(ExpectationError, match="the same newest 'seq': got 1 such keys"):
        table.merge(two, on="k", newer_by="seq")


def test_tombstones(table: Table) -> None:
    source = frame([1, 2, 40, 41], seq=1).with_columns(op=pl.Series(["d", "u", "d", "c"]))
    done = table.merge(source, on="k", newer_by="seq", delete_when=pl.col("op") == "d")
    assert (done.inserted, done.updated, done.deleted, done.rows_in) == (1, 1, 1, 4)
    assert set(table.at().frame()["k"]) == {0, 2, 3, 4, 5, 6, 7, 8, 41}
    late = frame([2], seq=1).with_columns(op=pl.lit("d"))  # as old as the row that is there
    assert table.merge(late, on="k", newer_by="seq", delete_when=pl.col("op") == "d").deleted == 0


def test_a_tombstone_is_asked_for_its_key_alone(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=expect.not_null("v"))
    table.append(frame([1, 2]))
    gone = pl.DataFrame({"k": [1, 3], "v": [None, "x"], "seq": [None, 1]})
    done = table.merge(gone, on="k", delete_when=pl.col("v").is_null())
    assert (done.deleted, done.inserted) == (1, 1)


def test_a_tombstone_needs_a_key_whatever_is_expected(lake_root: str) -> None:
    rule = expect.not_null("k", on_fail="quarantine")
    table = Lake(lake_root).table("t", expect=rule)
    table.append(frame([1]))
    bad = pl.DataFrame(
        {"k": pl.Series([None, None], dtype=pl.Int64), "v": ["x", "d"], "seq": [1, 1]}
    )
    with pytest.raises(ExpectationError, match="1 of them tombstones") as caught:
        table.merge(bad, on="k", delete_when=pl.col("v") == "d")
    assert "or expect" not in str(caught.value)
    assert table.merge(bad[:1], on="k").quarantined == 1


def test_chosen_columns_are_updated(table: Table) -> None:
    source = frame([2, 50], "new", 7)
    table.merge(source, on="k", update=["seq"])
    assert table.at().frame().filter(pl.col("k").is_in([2, 50])).rows() == [
        (2, "old", 7),
        (50, "new", 7),
    ]


def test_a_source_may_have_only_what_is_used(table: Table) -> None:
    table.merge(
        pl.DataFrame({"k": [1], "seq": [9]}), on="k", update=["seq"], when_not_matched="ignore"
    )
    table.merge(
        pl.DataFrame({"k": [2, 77]}), on="k", when_matched="delete", when_not_matched="ignore"
    )
    assert (1, "old", 9) in rows_of(table)
    assert 2 not in table.at().frame()["k"].to_list()
    with pytest.raises(SchemaError, match="'v' is missing"):
        table.merge(pl.DataFrame({"k": [1], "seq": [9]}), on="k", update=["seq"])


def test_keys_of_every_kind(lake_root: str) -> None:
    kinds = pl.DataFrame(
        {
            "a": [1, 2],
            "b": ["x", "y" * 60],
            "c": [date(2020, 1, 1), date(2020, 1, 2)],
            "d": [datetime(2020, 1, 1, 0, 0, 0, 1), datetime(2020, 1, 2)],
            "e": [True, False],
            "f": [Decimal("1.50"), Decimal("-2.25")],
            "g": [b"\x00", b"\xff"],
            "n": [0, 0],
        }
    )
    for number, keys in enumerate([*"abcdefg", [*"abcdefg"]]):
        table = Lake(lake_root).table(f"t{number}")
        table.append(kinds)
        done = table.merge(kinds[1:].with_columns(n=1), on=keys)
        assert (done.updated, done.inserted) == (1, 0)
        assert table.at().frame()["n"].to_list() == [0, 1]


def test_keys_that_cannot_be_keys(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"k": [1], "x": [0.5], "l": [[1]]}))
    with pytest.raises(SchemaError, match="'x' cannot be a key"):
        table.merge(table.at().frame(), on="x")
    with pytest.raises(SchemaError, match="'l' cannot be a key"):
        table.merge(table.at().frame(), on=["k", "l"])
    with pytest.raises(SchemaError, match="no column 'z'"):
        table.merge(table.at().frame(), on="z")
    with pytest.raises(SchemaError, match="cannot tell which row is newer"):
        table.merge(table.at().frame(), on="k", newer_by="x")
    assert table.version() == 1


def test_nulls_and_doubles_in_the_source(table: Table) -> None:
    with pytest.raises(ExpectationError, match="no value in key column 'k': got 2 of 3 rows"):
        table.merge(frame([1, None, None]), on="k")
    with pytest.raises(ExpectationError, match="several rows of one key: got 2 such keys"):
        table.merge(frame([1, 1, 1, 2, 2, 3]), on="k")
    assert table.version() == 3
    assert len(list(Path(table.uri).glob("*.parquet"))) == 3


def test_a_null_in_the_table_is_no_ones_key(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(frame([None, 1], "old"))
    table.merge(frame([1, 2]), on="k")
    assert table.at().frame().sort("k", nulls_last=True).rows() == [
        (1, "new", 0),
        (2, "new", 0),
        (None, "old", 0),
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"on": []}, "key columns"),
        ({"on": ["k", "k"]}, "each once"),
        ({"when_matched": "upsert"}, "no such when_matched"),
        ({"when_not_matched": "delete"}, "no such when_not_matched"),
        ({"how": "magic"}, "no such how"),
        ({"newer_by": "k"}, "no key"),
        ({"update": ["v"], "when_matched": "delete"}, "update names"),
        ({"when_matched": "ignore", "when_not_matched": "ignore"}, "changes nothing"),
        ({"delete_when": pl.col("v").max() == "x"}, "delete_when cannot be used"),
    ],
)
def test_requests_that_make_no_sense(table: Table, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        table.merge(frame([1]), **{"on": "k", **asked})
    assert table.version() == 3


def test_source_rows_are_judged(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=[expect.between("seq", 0, 9, "quarantine")])
    table.append(frame([1, 2], "old"))
    source = pl.concat([frame([1], "bad", 99), frame([2, 3], "good", 1)])
    done = table.merge(source, on="k", batch_id="b")
    assert (done.updated, done.inserted, done.quarantined) == (1, 1, 1)
    assert rows_of(table) == [(1, "old", 0), (2, "good", 1), (3, "good", 1)]
    assert table.quarantine().at().frame()["v"].to_list() == ["bad"]
    strict = Lake(lake_root).table("t", expect=[expect.between("seq", 0, 9)])
    with pytest.raises(ExpectationError, match="between"):
        strict.merge(source, on="k")
    assert table.version() == 2


def test_a_batch_counts_once(table: Table) -> None:
    first = table.merge(frame([1, 50]), on="k", batch_id="b")
    again = table.merge(frame([1, 51]), on="k", batch_id="b")
    assert again.applied_before
    assert not first.applied_before
    assert (again.version, again.inserted, again.updated) == (first.version, 1, 1)
    nothing = table.merge(frame([1]), on="k", when_matched="delete", batch_id="gone")
    assert nothing.deleted == 1
    table.append(frame([1]))
    assert table.merge(frame([1]), on="k", when_matched="delete", batch_id="gone").applied_before
    assert 1 in table.at().frame()["k"].to_list()


def test_a_merge_that_changes_nothing_makes_no_commit(table: Table) -> None:
    assert table.merge(frame([99]), on="k", when_not_matched="ignore").version == 3
    assert table.merge(frame([]).cast({"k": pl.Int64}), on="k").version == 3
    assert table.version() == 3


def test_a_merge_makes_the_table(lake_root: str) -> None:
    table = Lake(lake_root).table("t", partition_by="v")
    done = table.merge(frame([1, 2]), on="k")
    assert (done.version, done.inserted) == (1, 2)
    assert rows_of(table) == [(1, "new", 0), (2, "new", 0)]


def test_a_row_moves_to_another_partition(lake_root: str) -> None:
    table = Lake(lake_root).table("t", partition_by="v")
    table.append(pl.concat([frame([1, 2], "a"), frame([3], "b")]))
    table.merge(pl.concat([frame([2], "b"), frame([3], "c"), frame([4], "a")]), on="k")
    assert rows_of(table) == [(1, "a", 0), (2, "b", 0), (3, "c", 0), (4, "a", 0)]
    files = table.at().where(pl.col("v") == "b").parts()
    assert sum(part.rows for part in files) == 1


def test_several_rows_of_one_key_in_the_table(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(frame([1, 1, 2], "old"))
    assert table.merge(frame([1]), on="k").updated == 2
    assert rows_of(table) == [(1, "new", 0), (1, "new", 0), (2, "old", 0)]


def test_a_sorted_table_stays_sorted(lake_root: str) -> None:
    table = Lake(lake_root).table("t", sort_by=["seq", "k"])
    table.append(pl.concat([frame([k], "old", 10 - k) for k in range(6)]))
    table.merge(pl.concat([frame([5], seq=99), frame([20, 21], seq=50)]), on="k")
    for part in table.at().parts():
        rows = part.read()
        assert rows.equals(rows.sort("seq", "k"))


def test_rivals_with_other_keys_both_succeed(table: Table) -> None:
    def work(number: int) -> int:
        own = Lake(str(Path(table.uri).parent)).table("t")
        return own.merge(frame([number, 100 + number], f"by {number}"), on="k").updated

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [1] * 6
    now = table.at().frame()
    assert now["k"].is_unique().all()
    assert now.height == 15
    assert set(now.filter(pl.col("k") < 6)["v"]) == {f"by {n}" for n in range(6)}


def test_rivals_with_one_key_insert_it_once(lake_root: str) -> None:
    Lake(lake_root).table("t").append(frame([0], "old"))

    def work(number: int) -> None:
        Lake(lake_root).table("t").merge(frame([7], f"by {number}", number), on="k", newer_by="seq")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert rows_of(Lake(lake_root).table("t")) == [(0, "old", 0), (7, "by 5", 5)]


def test_an_append_of_the_same_key_meanwhile_is_met(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.lake.change import merge

    plain, rival = merge.write_rows, [frame([70], "rival")]

    def slow(*given: Any) -> Any:
        if rival:
            table.append(rival.pop())
        return plain(*given)

    monkeypatch.setattr(merge, "write_rows", slow)
    done = table.merge(frame([70, 71]), on="k", how="rewrite")
    assert (done.inserted, done.updated) == (1, 1)
    assert table.at().frame().filter(pl.col("k") >= 70).rows() == [(70, "new", 0), (71, "new", 0)]
    in_log = {Path(part.uri) for version in range(1, 6) for part in table.at(version).parts()}
    assert set(Path(table.uri).glob("*.parquet")) == in_log  # nothing of the first try is left
