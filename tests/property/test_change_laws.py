"""Laws of changes: a table against a list of rows, its change feed against its versions."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import Any

import deltalake
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.lake import Lake, Table

Row = tuple[int | None, str | None, str | None, int | None]
TYPES = {"k": pl.Int64(), "g": pl.String(), "v": pl.String(), "seq": pl.Int64()}
K = st.integers(0, 7)
G = st.sampled_from(["a", "b", "c"])  # load_cdf of deltalake cannot open partitions beyond ASCII
V = st.sampled_from(["x", "y", "z", None])
SEQ = st.one_of(st.none(), st.integers(0, 4))

rows = st.lists(st.tuples(st.one_of(st.none(), K), st.one_of(st.none(), G), V, SEQ), max_size=12)
news = st.dictionaries(
    st.tuples(K, G), st.tuples(V, st.integers(0, 4), st.booleans()), max_size=8
).map(lambda found: [(*key, *value) for key, value in found.items()])


@dataclass(frozen=True)
class Shape:
    partition_by: tuple[str, ...]
    sort_by: tuple[str, ...]
    feed: bool


shapes = st.builds(
    Shape,
    st.sampled_from([(), ("g",), ("v", "g")]),
    st.sampled_from([(), ("seq",), ("k", "v")]),
    st.booleans(),
)

WHERES: list[tuple[pl.Expr, Any]] = [
    (pl.col("k") < 4, lambda r: r[0] is not None and r[0] < 4),
    (pl.col("g") == "a", lambda r: r[1] == "a"),
    (pl.col("v").is_null(), lambda r: r[2] is None),
    (~(pl.col("g") == "b") | (pl.col("seq") >= 3), lambda r: r[1] not in ("b", None)
     or (r[3] is not None and r[3] >= 3)),
    (pl.col("k").is_between(2, 5) & pl.col("v").is_in(["x", "y"]),
     lambda r: r[0] is not None and 2 <= r[0] <= 5 and r[2] in ("x", "y")),
    (pl.lit(True), lambda r: True),
]  # fmt: skip

SETS: list[tuple[dict[str, Any], Any]] = [
    ({"v": "u"}, lambda r: (r[0], r[1], "u", r[3])),
    ({"g": None}, lambda r: (r[0], None, r[2], r[3])),
    ({"seq": pl.col("seq") + 1, "v": pl.col("g")},
     lambda r: (r[0], r[1], r[1], None if r[3] is None else r[3] + 1)),
]  # fmt: skip

merges = st.fixed_dictionaries(
    {
        "rows": news,
        "when_matched": st.sampled_from(["update", "delete", "ignore"]),
        "when_not_matched": st.sampled_from(["insert", "ignore"]),
        "newer_by": st.sampled_from([None, "seq"]),
        "tombstones": st.booleans(),
        "update": st.sampled_from([None, ["v"]]),
    }
)
edits = st.one_of(
    merges,
    st.fixed_dictionaries({"delete": st.sampled_from(WHERES)}),
    st.fixed_dictionaries({"where": st.sampled_from(WHERES), "set": st.sampled_from(SETS)}),
    st.fixed_dictionaries({"overwrite": st.sampled_from(WHERES), "by": rows}),
)


def table_of(files: list[list[Row]], shape: Shape, root: str) -> Table:
    feed = {"delta.enableChangeDataFeed": "true"} if shape.feed else {}
    table = Lake(root).table(
        "t", partition_by=shape.partition_by, sort_by=shape.sort_by, properties=feed
    )
    for one in files:
        table.append(frame(one), allow_empty=True)
    return table


def frame(found: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=TYPES, orient="row")


def merged(before: list[Row], asked: dict[str, Any]) -> list[Row]:
    """What a merge on ``k`` and ``g`` makes of rows, the plain way."""
    source = {
        (k, g): (v, seq, gone and asked["tombstones"]) for k, g, v, seq, gone in asked["rows"]
    }
    after: list[Row] = []
    for k, g, v, seq in before:
        new = source.get((k, g))  # type: ignore[arg-type]
        if new is None or (asked["newer_by"] and seq is not None and new[1] <= seq):
            after.append((k, g, v, seq))
        elif new[2] or asked["when_matched"] == "delete":
            continue
        elif asked["when_matched"] == "update":
            kept = asked["update"] is not None and asked["newer_by"] is None
            after.append((k, g, new[0], seq if kept else new[1]))
        else:
            after.append((k, g, v, seq))
    known = {(k, g) for k, g, _, _ in before}
    if asked["when_not_matched"] == "insert":
        after += [
            (*key, v, s) for key, (v, s, gone) in source.items() if key not in known and not gone
        ]
    return after


def do(table: Table, edit: dict[str, Any], before: list[Row], how: str) -> list[Row]:
    """Makes the edit, and tells what rows the table must have then."""
    if "delete" in edit:
        where, holds = edit["delete"]
        done = table.delete(where)
        after = [row for row in before if not holds(row)]
        assert done.deleted == len(before) - len(after)
        return after
    if "set" in edit:
        (where, holds), (sets, changed) = edit["where"], edit["set"]
        done = table.update(where, sets)
        assert done.updated == sum(map(holds, before))
        return [changed(row) if holds(row) else row for row in before]
    if "overwrite" in edit:
        where, holds = edit["overwrite"]
        new = [row for row in edit["by"] if holds(row)]
        table.overwrite(frame(new), where=where, allow_empty=True)
        return [row for row in before if not holds(row)] + new
    source = pl.DataFrame(edit["rows"], schema={**TYPES, "gone": pl.Boolean}, orient="row")
    asked = {key: edit[key] for key in ("when_matched", "when_not_matched", "newer_by")}
    if edit["tombstones"]:
        asked["delete_when"] = pl.col("gone")
    else:
        source = source.drop("gone")
    if edit["when_matched"] == "update":
        asked["update"] = edit["update"]
    elif edit["when_matched"] == edit["when_not_matched"] == "ignore" and not edit["tombstones"]:
        return before
    done = table.merge(source, ["k", "g"], how=how, **asked)
    after = merged(before, edit)
    assert len(after) - len(before) == done.inserted - done.deleted
    return after


def replayed(table: Table, version: int) -> Counter[Any]:
    """The rows of a version: those of the one before, and what the feed says of it."""
    found = Counter(table.at(version - 1).frame().rows())
    feed = deltalake.DeltaTable(table.uri).load_cdf(version, version).read_all()
    told = pl.DataFrame(feed).select(*TYPES, "_change_type")
    kinds = Counter(told["_change_type"])
    assert kinds["update_preimage"] == kinds["update_postimage"]
    for *row, kind in told.rows():
        if kind in ("delete", "update_preimage"):
            assert found[tuple(row)] > 0
            found[tuple(row)] -= 1
        else:
            found[tuple(row)] += 1
    return +found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=3), shapes, st.lists(edits, min_size=1, max_size=4))
def test_a_table_and_a_list(files: list[list[Row]], shape: Shape, steps: list[Any]) -> None:
    check(files, shape, steps, "rewrite")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=3), shapes, st.lists(merges, min_size=1, max_size=2))
def test_both_ways_of_a_merge(files: list[list[Row]], shape: Shape, steps: list[Any]) -> None:
    check(files, Shape(shape.partition_by, (), shape.feed), steps, "deltalake")


@pytest.mark.long
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=3), shapes, st.lists(edits, min_size=1, max_size=6))
def test_a_table_and_a_list_at_length(
    files: list[list[Row]], shape: Shape, steps: list[Any]
) -> None:
    check(files, shape, steps, "rewrite")


def check(files: list[list[Row]], shape: Shape, steps: list[Any], how: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        table = table_of(files, shape, root)
        want: list[Row] = [row for one in files for row in one]
        for step in steps:
            before = table.version()
            want = do(table, step, want, how)
            assert Counter(table.at().frame().rows()) == Counter(want)
            if shape.feed and table.version() > before:
                assert replayed(table, table.version()) == Counter(want)
