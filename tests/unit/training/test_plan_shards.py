from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError
from raypipe.training.matrices import choose_mode
from raypipe.training.place import choose
from raypipe.training.plan import plan_shards


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(1, 6))
def test_every_row_goes_to_one_rank_in_order(known: list[int], workers: int) -> None:
    if sum(known) < workers:
        with pytest.raises(ConfigError, match="fewer rows with a label than workers"):
            plan_shards(known, workers)
        return
    shards = plan_shards(known, workers)
    assert len(shards) == workers
    read = [(s.part, row) for shard in shards for s in shard for row in range(s.start, s.stop)]
    assert read == [(part, row) for part, count in enumerate(known) for row in range(count)]
    sizes = [sum(s.stop - s.start for s in shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(1, 5),
)
def test_groups_stay_whole(groups: list[int], workers: int, files: int) -> None:
    total = sum(groups)
    cuts = [total * n // files for n in range(files + 1)]
    known = [b - a for a, b in itertools.pairwise(cuts)]
    if len(groups) < workers:
        with pytest.raises(ConfigError, match="fewer groups than workers"):
            plan_shards(known, workers, groups)
        return
    shards = plan_shards(known, workers, groups)
    ends, at = set(), 0
    for size in groups:
        at += size
        ends.add(at)
    done = 0
    for shard in shards:
        rows = sum(s.stop - s.start for s in shard)
        assert rows >= 1
        done += rows
        assert done in ends
    assert done == total


def test_where_the_rows_go() -> None:
    few, many = 10_000, 100_000_000
    gib = 1024**3
    assert choose_mode(few, 28, 256, None, 8 * gib) == "memory"
    assert choose_mode(10_000_000, 28, 256, None, 8 * gib) == "spill"
    assert choose_mode(many, 28, 256, None, 4 * gib) == "disk"
    assert choose_mode(2_000_000, 28, 256, 200 * 1024**2, 8 * gib) == "disk"


def test_where_a_run_trains() -> None:
    settings = {
        "rows": 10_000,
        "features": 20,
        "rounds": 100,
        "workers": 2,
        "cpus": 1,
        "cores": 2,
        "memory": 8 * 1024**3,
    }
    assert choose("auto", **settings, cluster_cpus=None).place == "local"
    assert choose("auto", **settings, cluster_cpus=64.0).place == "local"
    big = {**settings, "rows": 50_000_000, "workers": 32}
    assert choose("auto", **big, cluster_cpus=64.0).place == "ray"
    assert choose("auto", **settings, cluster_cpus=None, elastic=True).place == "ray"
    assert choose("ray", **settings, cluster_cpus=None).why == "as asked"
    with pytest.raises(ConfigError):
        choose("local", **settings, cluster_cpus=None, elastic=True)
    between = {**settings, "rows": 1_600_000, "workers": 32}  # about 7 s less on the cluster
    assert choose("auto", **between, cluster_cpus=64.0).place == "local"
    assert choose("auto", **between, cluster_cpus=64.0, warm=True).place == "ray"
