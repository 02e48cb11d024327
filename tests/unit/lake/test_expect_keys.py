"""Unique keys and foreign keys, against brute force; across parts, files, passes and versions."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError, ExpectationError, SchemaError
from raypipe.lake import Lake, expect, masks
from raypipe.lake.quality import key_search
from raypipe.lake.quality.key_search import missing, passes, repeated

FEW = st.one_of(st.none(), st.integers(0, 6))
WORDS = st.one_of(st.none(), st.sampled_from(["", "a", "A", "aa", "é", "a\0"]))
ROWS = st.lists(st.tuples(FEW, WORDS), max_size=12)
SCHEMA = {"k": pl.Int64(), "w": pl.String()}


class Held:
    """A part whose rows are in memory."""

    def __init__(self, rows: Sequence[tuple[object, ...]]) -> None:
        self.frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
        self.rows, self.schema = self.frame.height, SCHEMA

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        return self.frame if columns is None else self.frame.select(columns)


def places(found: key_search.Found) -> set[tuple[int, int]]:
    return {(file, row) for file, rows in found.rows.items() for row in rows}


@settings(max_examples=80, deadline=None)
@given(
    st.lists(ROWS, max_size=4),
    st.lists(ROWS, max_size=3),
    st.sampled_from([("k",), ("w",), ("k", "w")]),
    st.sampled_from([64, 10**6]),
)
def test_search_is_brute_force(
    new: list[list[tuple[object, ...]]],
    old: list[list[tuple[object, ...]]],
    columns: tuple[str, ...],
    limit: int,
) -> None:
    at = [("k", "w").index(c) for c in columns]
    table = {tuple(row[i] for i in at) for part in old for row in part}
    seen: set[tuple[object, ...]] = set()
    again, alien = set(), set()
    for file, part in enumerate(new):
        for number, row in enumerate(part):
            key = tuple(row[i] for i in at)
            if None in key:
                continue
            if key in seen or key in table:
                again.add((file, number))
            if key not in table:
                alien.add((file, number))
            seen.add(key)
    parts, there = [Held(p) for p in new], [Held(p) for p in old]

    def pruned(where: pl.Expr | None) -> list[Held]:
        if where is None:
            return there
        return [p for p in there if p.frame.filter(where).height]

    assert places(repeated(parts, columns, pruned, limit)) == again
    assert places(missing(parts, columns, pruned, columns, limit)) == alien
    alone = repeated(parts, columns, None, limit)
    firsts: set[tuple[object, ...]] = set()
    want = set()
    for file, part in enumerate(new):
        for number, row in enumerate(part):
            key = tuple(row[i] for i in at)
            if None not in key and key in firsts:
                want.add((file, number))
            firsts.add(key)
    assert places(alone) == want
    counted = key_search.distinct(parts, columns[0], limit)
    assert counted == len({r[at[0]] for p in new for r in p} - {None})


def test_keys_that_are_many_are_searched_in_passes() -> None:
    assert passes(10, [pl.Int64()]) == 1
    assert passes(10**9, [pl.Int64()]) > 50
    assert passes(10**6, [pl.String()]) > passes(10**6, [pl.Int64()]) - 1


def write_parts(folder: Path, *keys: list[int | None]) -> str:
    for number, part in enumerate(keys):
        pl.DataFrame({"k": part, "v": range(len(part))}).write_parquet(folder / f"{number}.parquet")
    return str(folder / "*.parquet")


def test_a_key_twice_in_two_parts_fails_the_write(lake_root: str, tmp_path: Path) -> None:
    table = Lake(lake_root).table("t", expect=[expect.unique("k")])
    with pytest.raises(ExpectationError, match="got 1 rows"):
        table.append(write_parts(tmp_path, [1, 2], [3, 2]))
    assert not table.exists
    assert not list(Path(lake_root).rglob("*.parquet"))


@pytest.mark.parametrize("partition_by", [(), ("p",)])
def test_rows_leave_their_files_and_the_rest_stays(
    lake_root: str, tmp_path: Path, partition_by: tuple[str, ...]
) -> None:
    rules = [expect.unique("k", on_fail="quarantine")]
    table = Lake(lake_root).table("t", expect=rules, partition_by=partition_by)
    frames = [([1, 2, 2, None], "x"), ([3, 4], "y"), ([5, 1, None], "x"), ([3, 3, 4], "z")]
    for number, (keys, p) in enumerate(frames):
        pl.DataFrame({"k": keys, "p": [p] * len(keys)}).write_parquet(
            tmp_path / f"{number}.parquet"
        )
    source = str(tmp_path / "*.parquet")
    told = table.check(source)
    done = table.append(source, batch_id="b")
    assert (done.rows_in, done.rows, done.quarantined) == (12, 7, 5)
    assert (told.rows_in, told.rows, told.quarantined) == (12, 7, 5)
    assert told.outcomes[0].failed == done.outcomes[0].failed == 5
    kept = table.at().frame()["k"].to_list()
    assert sorted(kept, key=str) == [1, 2, 3, 4, 5, None, None]
    assert partition_by or kept == [1, 2, None, 3, 4, 5, None]
    assert table.at().count() == 7
    bad = table.quarantine().at().frame()
    assert sorted(bad["k"].to_list()) == [1, 2, 3, 3, 4]
    assert bad["_reasons"].to_list() == [["unique(k)"]] * 5
    # Of the table the log's statistics are those of the rows that are left.
    assert table.at().where(pl.col("k") == 5).frame().height == 1
    # Again the same: nothing; another batch: what is there already breaks the rule.
    assert table.append(source, batch_id="b").applied_before
    more = table.append(pl.DataFrame({"k": [5, 6, 6, None], "p": ["x"] * 4}))
    assert (more.rows, more.quarantined) == (2, 2)
    table.append(pl.DataFrame({"k": [7], "p": ["x"]}))
    assert sorted(k for k in table.at().frame()["k"] if k is not None) == [1, 2, 3, 4, 5, 6, 7]


def test_drop_warn_and_within_the_batch(lake_root: str, caplog: pytest.LogCaptureFixture) -> None:
    lake = Lake(lake_root)
    frame = pl.DataFrame({"k": [1, 1, 2]})
    lake.table("t", expect=[expect.unique("k", on_fail="drop")]).append(frame)
    batch = lake.table("t", expect=[expect.unique("k", within="batch", on_fail="drop")])
    done = batch.append(frame)
    assert (done.rows, done.dropped) == (2, 1)
    warn = lake.table("t", expect=[expect.unique("k", on_fail="warn")])
    done = warn.append(frame)
    assert (done.rows, done.warned) == (3, 3)
    assert "3 rows that break it" in caplog.text
    assert lake.table("t").at().frame()["k"].to_list() == [1, 2, 1, 2, 1, 1, 2]


def test_an_overwrite_looks_only_at_itself(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=[expect.unique("k")])
    frame = pl.DataFrame({"k": [1, 2]})
    table.append(frame)
    table.overwrite(frame)
    with pytest.raises(ExpectationError):
        table.append(frame)
    with pytest.raises(ExpectationError):
        table.overwrite(pl.concat([frame, frame]))
    assert table.version() == 2


def test_only_files_that_can_hold_a_key_are_read(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Lake(lake_root).table("t", expect=[expect.unique("k")])
    for start in (0, 100, 200):
        table.append(pl.DataFrame({"k": range(start, start + 10), "v": ["x"] * 10}))
    from raypipe.lake.read.part import LakePart

    read: list[object] = []
    real = LakePart.read

    def spy(self: LakePart, columns: Sequence[str] | None = None) -> pl.DataFrame:
        read.append(columns)
        return real(self, columns)

    monkeypatch.setattr(LakePart, "read", spy)
    table.append(pl.DataFrame({"k": range(300, 310), "v": ["x"] * 10}))
    assert read == []
    with pytest.raises(ExpectationError):
        table.append(pl.DataFrame({"k": [105], "v": ["x"]}))
    assert read == [["k"]]


def test_foreign_keys(lake_root: str, tmp_path: Path) -> None:
    lake = Lake(lake_root)
    parent = lake.table("parent")
    parent.append(pl.DataFrame({"id": pl.Series([1, 2], dtype=pl.Int32), "c": ["a", "b"]}))
    rule = expect.foreign_key("k", parent, "id", on_fail="quarantine")
    table = lake.table("child", expect=[rule])
    source = write_parts(tmp_path, [1, 2, None], [9, 1, 2**40])
    assert table.check(source).quarantined == 2
    done = table.append(source)
    assert (done.rows, done.quarantined) == (4, 2)
    assert rule.name == "foreign_key(k -> parent.id)"
    strict = lake.table("child", expect=[expect.foreign_key("k", parent.at(version=1), "id")])
    parent.append(pl.DataFrame({"id": pl.Series([3], dtype=pl.Int32), "c": ["c"]}))
    with pytest.raises(ExpectationError):  # the snapshot stays what it was
        strict.append(pl.DataFrame({"k": [3], "v": [0]}))
    assert table.append(pl.DataFrame({"k": [3], "v": [0]})).quarantined == 0
    both = expect.foreign_key(["k", "c"], parent, ["id", "c"], on_fail="drop")
    pairs = lake.table("pairs", expect=[both])
    done = pairs.append(pl.DataFrame({"k": [1, 1, None], "c": ["a", "b", "x"]}))
    assert (done.rows, done.dropped) == (2, 1)
    for wrong in (("k", parent, "nope"), ("v", parent, "c")):
        with pytest.raises(SchemaError):
            lake.table("child", expect=[expect.foreign_key(*wrong)]).append(
                pl.DataFrame({"k": [1], "v": [0]})
            )
    assert pickle.loads(pickle.dumps(table)).append(pl.DataFrame({"k": [4], "v": [0]})).rows == 0


def test_keys_join_when_both_are_hashed_and_not_when_a_mask_blurs(lake_root: str) -> None:
    lake = Lake(lake_root)
    hashed = {"email": masks.keyed_hash(b"0123456789abcdef")}
    parent = lake.table("parent", pii=hashed)
    parent.append(pl.DataFrame({"email": ["a@x", "b@x"]}))
    rules = [expect.foreign_key("email", parent), expect.unique("email")]
    child = lake.table("child", pii=hashed, expect=rules)
    child.append(pl.DataFrame({"email": ["b@x"]}))
    for mail in ("b@x", "c@x"):
        with pytest.raises(ExpectationError) as error:
            child.append(pl.DataFrame({"email": [mail]}))
        assert mail not in str(error.value)
    blurred = lake.table("t", pii={"email": masks.truncate(1)}, expect=[expect.unique("email")])
    with pytest.raises(ConfigError, match="different values the same"):
        blurred.append(pl.DataFrame({"email": ["b@x"]}))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: expect.unique(),
        lambda: expect.unique("a", "a"),
        lambda: expect.unique("a", within="lake"),  # type: ignore[arg-type]
        lambda: expect.unique("a", on_fail="explode"),  # type: ignore[arg-type]
        lambda: expect.foreign_key("a", "a table"),
        lambda: expect.foreign_key(["a", "b"], Lake("x").table("t"), "a"),
        lambda: expect.foreign_key((), Lake("x").table("t")),
    ],
)
def test_rules_that_cannot_be_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigError):
        wrong()  # type: ignore[operator]


def test_a_nested_key_is_refused(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=[expect.unique("k")])
    with pytest.raises(SchemaError):
        table.append(pl.DataFrame({"k": [[1]]}))


def test_many_keys_in_little_memory_find_the_same(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_search, "PASS_BYTES", 1000)
    with tempfile.TemporaryDirectory() as folder:
        source = write_parts(Path(folder), list(range(500)), list(range(499, 900)))
        table = Lake(lake_root).table("t", expect=[expect.unique("k", on_fail="drop")])
        done = table.append(source)
    assert (done.rows, done.dropped) == (900, 1)


@pytest.mark.parametrize(
    ("day", "again"),
    [
        (datetime(2026, 1, 2, 3, 4), datetime(2026, 1, 2, 3, 5)),
        ("a/b: 50%", "c d"),
        (date(2026, 1, 2), None),
        (True, False),
    ],
)
def test_keys_in_folders_of_any_name(lake_root: str, day: object, again: object) -> None:
    rules = [expect.unique("k", "day", on_fail="quarantine")]
    table = Lake(lake_root).table("t", partition_by="day", expect=rules)
    rows = pl.DataFrame({"k": [1, 1, 2, 1], "day": [day, day, day, again]})
    assert table.append(rows).quarantined == 1
    assert table.append(rows[:3]).quarantined == 3
    assert table.at().count() == 3
    assert table.quarantine().at().frame()["day"].to_list() == [day] * 4
