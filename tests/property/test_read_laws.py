"""Laws of reading: the log tells what a scan tells, and changes lead from state to state."""

from __future__ import annotations

import math
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.lake import Lake, Snapshot
from raypipe.lake.read import feed
from raypipe.lake.read.compare import compare

LETTERS = st.characters(exclude_characters="\U0010ffff", exclude_categories=["Cs"])
VALUES = {
    "i": st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    "f": st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1.0]),
    "s": st.text(LETTERS, max_size=3) | st.text(LETTERS, min_size=30, max_size=40),
    "t": st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    "d": st.dates(date(1, 1, 1)),
    "b": st.booleans(),
    "k": st.sampled_from(["a b", "ü/%", "k=v"]),
}
TYPES = {"i": pl.Int64, "f": pl.Float64, "s": pl.String, "t": pl.Datetime("us"), "d": pl.Date,
         "b": pl.Boolean, "k": pl.String}  # fmt: skip


def frames() -> st.SearchStrategy[pl.DataFrame]:
    row = st.tuples(*(st.none() | values for values in VALUES.values()))
    rows = st.lists(row, min_size=1, max_size=5)
    return rows.map(lambda r: pl.DataFrame(r, schema=TYPES, orient="row"))


@st.composite
def filters(draw: st.DrawFn) -> pl.Expr:
    name = draw(st.sampled_from(list(VALUES)))
    finite = st.floats(allow_nan=False, allow_infinity=False)
    value = draw(finite if name == "f" else VALUES[name])
    other = draw(finite if name == "f" else VALUES[name])
    column, item = pl.col(name), pl.lit(value, dtype=TYPES[name])
    choices = [
        column == item, column > item, column >= item, column < item, column <= item,
        column != item, column.is_null(), column.is_not_null(), column.is_in([value, other]),
        column.is_between(item, pl.lit(other, dtype=TYPES[name])),
    ]  # fmt: skip
    if name == "b":
        choices.append(column)
    one = draw(st.sampled_from(choices))
    kind = draw(st.sampled_from(["plain", "not", "and", "or"]))
    if kind == "plain":
        return one
    if kind == "not":
        return ~one
    more = draw(filters())
    return one & more if kind == "and" else one | more


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def holds(some: Snapshot, expected: pl.DataFrame) -> None:
    """All that a snapshot tells of itself, against its rows."""
    assert some.count() == expected.height
    told = some.describe()
    assert told.rows == expected.height
    for column in told.columns:
        values = expected[column.name]
        assert column.nulls == values.null_count()
        assert same(column.least, values.min()), (column, values)
        assert same(column.greatest, values.max()), (column, values)
        known = values.drop_nulls()
        known = known.drop_nans() if known.dtype.is_float() else known
        assert some.least_known(column.name) <= known.len(), (column, values)
    assert same(some.max("s"), expected["s"].max())
    plan = some.explain()
    assert plan.files_read == len(some.parts()) <= plan.files
    assert plan.row_groups is not None
    assert plan.row_groups_read is not None
    assert plan.row_groups_read <= plan.row_groups


def ours(folder: str, batches: list[pl.DataFrame], partition_by: list[str]) -> Snapshot:
    table = Lake(folder).table("t", partition_by=partition_by)
    for batch in batches:
        table.append(batch)
    return table.at()


def theirs(folder: str, batches: list[pl.DataFrame], partition_by: list[str]) -> Snapshot:
    for batch in batches:
        arrow = batch.to_arrow(compat_level=pl.CompatLevel.oldest())
        deltalake.write_deltalake(
            f"{folder}/t", arrow, mode="append", partition_by=partition_by or None
        )
    return Lake(folder).table("t").at()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(frames(), min_size=1, max_size=3),
    st.lists(filters(), min_size=3, max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_the_log_tells_what_a_scan_tells(
    batches: list[pl.DataFrame], wheres: list[pl.Expr], by_us: bool, partitioned: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        keys = ["k"] if partitioned else []
        now = (ours if by_us else theirs)(folder, batches, keys)
        whole = now.frame()
        assert whole.height == sum(batch.height for batch in batches)
        holds(now, whole)
        assert now.least_known("i") == whole["i"].count()  # else it could always say 0
        for where in wheres:
            some = now.where(where)
            expected = whole.filter(where)
            holds(some, expected)
            assert some.frame().equals(expected)
            assert now.lazy().filter(where).collect().equals(expected)
            groups = feed.plan(some.parts(), 1)
            pieces = [feed.read_group(group) for group in groups]
            assert pl.concat([whole.clear(), *pieces]).equals(expected)


SMALL = st.lists(st.tuples(st.integers(0, 2) | st.none(), st.integers(0, 1)), max_size=6)


def small(rows: list[tuple[int | None, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"k": pl.Int64, "v": pl.Int64}, orient="row")


@settings(deadline=None)
@given(SMALL, SMALL, st.booleans(), st.none() | st.integers(0, 6))
def test_compared_rows_lead_from_one_to_the_other(
    before: list[Any], after: list[Any], keyed: bool, places: int | None
) -> None:
    changes = compare(small(before), small(after), ["k"] if keyed else [], places)
    rows = list(before)
    for k, v, kind in changes.rows():
        if kind in ("delete", "update_preimage"):
            rows.remove((k, v))
        else:
            rows.append((k, v))
    assert sorted(rows, key=repr) == sorted(after, key=repr)
    told = changes["_change_type"].to_list()
    pre = [i for i, kind in enumerate(told) if kind == "update_preimage"]
    assert all(told[i + 1] == "update_postimage" for i in pre)
    assert told.count("update_postimage") == len(pre)
    if keyed and places is None:
        assert all(changes["k"][i] == changes["k"][i + 1] is not None for i in pre)
    unchanged = sum(min(before.count(r), after.count(r)) for r in set(before))
    if places is None:
        assert len(told) == len(before) + len(after) - 2 * unchanged


def test_every_change_is_told_once(tmp_path: Path) -> None:
    table = Lake(str(tmp_path)).table("t")
    states = [pl.DataFrame(schema={"n": pl.Int64})]
    for k in range(6):
        batch = pl.DataFrame({"n": [k, k + 1]})
        table.overwrite(batch) if k % 3 == 2 else table.append(batch)
        states.append(table.at().frame())
    for since in range(7):
        for until in range(since, 7):
            rows = states[since]["n"].to_list()
            for n, kind in table.changes(since, until).frame().select("n", "_change_type").rows():
                rows.append(n) if kind == "insert" else rows.remove(n)
            assert sorted(rows) == sorted(states[until]["n"])
