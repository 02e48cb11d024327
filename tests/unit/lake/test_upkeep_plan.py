"""Which files are put together, and the order along a Z-curve: pure plans and their laws."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError
from raypipe.lake.upkeep.plan import (
    LARGE_SHARE,
    OldFile,
    check_target,
    new_path,
    plan_bins,
    plan_groups,
)
from raypipe.lake.upkeep.zorder import ranks, z_key, z_order

ATTEMPT = "0123456789abcdef" * 2
FILES = st.lists(
    st.tuples(st.integers(1, 150), st.integers(0, 2), st.integers(0, 5)), max_size=40
).map(
    lambda rows: sorted(
        (
            OldFile(f"part-{n:08d}.parquet", stamp, size, 1, (partition,))
            for n, (size, partition, stamp) in enumerate(rows)
        ),
        key=lambda f: (f.stamp, f.path),
    )
)


def merged(files: list[OldFile], bins: tuple[tuple[OldFile, ...], ...]) -> list[OldFile]:
    """The files as they are listed after the bins became one file each."""
    gone = {f for one in bins for f in one}
    new = [
        OldFile(
            new_path(one[0], ATTEMPT), one[0].stamp, sum(f.size_bytes for f in one), 1,
            one[0].partition,
        )
        for one in bins
    ]  # fmt: skip
    return sorted([f for f in files if f not in gone] + new, key=lambda f: (f.stamp, f.path))


@given(FILES, st.booleans())
def test_bins_are_runs_of_one_partition_that_fit(files: list[OldFile], thrifty: bool) -> None:
    bins = plan_bins(files, 100, thrifty=thrifty)
    seen = [f for one in bins for f in one]
    assert len(seen) == len(set(seen))
    for one in bins:
        assert len(one) >= 2
        assert len({f.partition for f in one}) == 1
        assert sum(f.size_bytes for f in one) <= 100
        assert all(f.size_bytes < LARGE_SHARE * 100 for f in one)
        same = [f for f in files if f.partition == one[0].partition]
        first = same.index(one[0])
        assert tuple(same[first : first + len(one)]) == one
        if thrifty:
            assert 2 * max(f.size_bytes for f in one) <= sum(f.size_bytes for f in one)


@given(FILES)
def test_order_within_a_partition_is_kept(files: list[OldFile]) -> None:
    bins = plan_bins(files, 100)
    rows = {new_path(one[0], ATTEMPT): one for one in bins}
    for partition in range(3):
        after = [f for f in merged(files, bins) if f.partition == (partition,)]
        told = [old for f in after for old in rows.get(f.path, (f,))]
        assert told == [f for f in files if f.partition == (partition,)]


@given(FILES)
def test_a_second_plan_finds_nothing(files: list[OldFile]) -> None:
    assert plan_bins(merged(files, plan_bins(files, 100)), 100) == ()


def test_thrifty_rewrites_a_row_a_few_times_only() -> None:
    files: list[OldFile] = []
    rewritten = 0
    for number in range(2000):
        files.append(OldFile(f"part-{number:08d}.parquet", number, 1, 1))
        bins = plan_bins(files, 10_000, least_files=10, thrifty=True)
        rewritten += sum(f.size_bytes for one in bins for f in one)
        files = merged(files, bins)
    assert len(files) < 30
    assert rewritten < 2000 * 11  # log2(2000): each time a row's file at least doubles


def test_groups_hold_every_file_in_order() -> None:
    files = [OldFile(f"{n}", n, 40, 1, (n % 2,)) for n in range(10)]
    groups = plan_groups(files, 100)
    assert [len(g) for g in groups] == [2, 2, 1, 2, 2, 1]
    assert sorted(f.path for g in groups for f in g) == [f"{n}" for n in range(10)]
    assert plan_groups(files[:1], 1) == ((files[0],),)


def test_the_new_name_sorts_in_the_place_of_the_first() -> None:
    names = [f"p=1/part-{'ab' * 16}-{n:08d}.parquet" for n in range(4)]
    new = new_path(OldFile(names[1], 1, 1, 1), ATTEMPT)
    assert names[0] < new < names[2]
    again = new_path(OldFile(new, 1, 1, 1), "f" * 32)
    assert len(again) == len(new)
    assert names[0] < again < names[2]
    assert re.fullmatch(r"p=1/part-[0-9a-f]{32}-\d{8}\.c[0-9a-f]{32}\.parquet", again)


def test_names_of_batches_are_not_kept() -> None:
    new = [new_path(OldFile(f"batch-x-{n}.parquet", 1, 1, 1), ATTEMPT, n) for n in range(2)]
    assert not any(n.startswith("batch-") for n in new)
    assert new[0] != new[1]


def test_a_target_is_a_size() -> None:
    check_target(None)
    for wrong in (0, -1, True, 1.5, "1MB"):
        with pytest.raises(ConfigError, match="target_bytes"):
            check_target(wrong)  # type: ignore[arg-type]


def test_rows_near_in_both_columns_lie_together() -> None:
    side = 64
    frame = pl.DataFrame({"x": list(range(side)) * side, "y": sorted(list(range(side)) * side)})
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    ordered = z_order(shuffled, ["x", "y"])
    assert ordered.sort("y", "x").equals(frame)
    block = ordered[: side * side // 16]  # a sixteenth of the rows: a square of 16 by 16
    assert (block["x"].max(), block["y"].max()) == (15, 15)


def test_one_column_is_a_plain_sort_with_nulls_first_and_ties_in_order() -> None:
    frame = pl.DataFrame({"a": [3.0, None, 1.0, 3.0, float("nan"), 2.0], "n": range(6)})
    assert z_order(frame, ["a"])["n"].to_list() == [1, 2, 5, 0, 3, 4]
    assert z_order(frame.clear(), ["a"]).height == 0


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=50), st.integers(1, 6))
def test_keys_grow_with_every_column(values: list[int], count: int) -> None:
    one = ranks(pl.Series(sorted(values)))
    key = z_key([one] * count)
    assert all(a <= b for a, b in pairwise(key.tolist()))
    assert len(np.unique(key)) == len(np.unique(one)) or count > 2
