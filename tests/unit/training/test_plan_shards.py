from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError
from raypipe.training.plan import Slice, plan_shards


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(1, 6))
def test_every_row_goes_to_one_rank_in_order(rows: list[int], workers: int) -> None:
    if sum(rows) < workers:
        with pytest.raises(ConfigError, match="fewer rows than workers"):
            plan_shards(rows, workers)
        return
    shards = plan_shards(rows, workers)
    assert len(shards) == workers
    assert shards == plan_shards(rows, workers)
    read = [
        (piece.part, row)
        for shard in shards
        for piece in shard
        for row in range(*piece.bounds(rows[piece.part]))
    ]
    assert read == [(part, row) for part, count in enumerate(rows) for row in range(count)]


@given(st.lists(st.integers(200, 5000), min_size=1, max_size=20), st.integers(1, 4))
def test_shares_are_nearly_equal(rows: list[int], workers: int) -> None:
    sizes = [
        sum(stop - start for start, stop in (p.bounds(rows[p.part]) for p in shard))
        for shard in plan_shards(rows, workers)
    ]
    assert max(sizes) - min(sizes) <= sum(rows) / workers * 0.5


def test_one_large_part_is_cut() -> None:
    shards = plan_shards([1000], 2)
    assert {piece.part for shard in shards for piece in shard} == {0}
    assert all(shards)
    assert Slice(0, 1, 3).bounds(10) == (3, 6)
