"""Changed rows, compaction and vacuum in object stores: S3 and Azure, real servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import polars as pl
import pytest

from raypipe.lake import Lake

FEED = {"delta.enableChangeDataFeed": True}


def rows(keys: list[int], value: str) -> pl.DataFrame:
    groups = ["even %" if key % 2 == 0 else "odd" for key in keys]
    return pl.DataFrame({"k": keys, "g": groups, "v": [value] * len(keys)})


def test_merge_delete_update_and_overwrite_of_some(remote: Lake) -> None:
    table = remote.table("t", partition_by="g", properties=FEED)
    table.append(rows([0, 1, 2, 3], "old"))
    done = table.merge(rows([2, 8], "new"), on="k", batch_id="m")
    assert (done.updated, done.inserted) == (1, 1)
    assert table.merge(rows([2, 8], "new"), on="k", batch_id="m").applied_before
    assert table.delete(pl.col("k") == 0).deleted == 1
    assert table.update(pl.col("k") == 1, {"g": "even %"}).updated == 1
    table.overwrite(rows([5], "put"), where=pl.col("g") == "odd")
    want = [(1, "even %", "old"), (2, "even %", "new"), (5, "odd", "put"), (8, "even %", "new")]
    assert sorted(table.at().frame().rows()) == want
    kinds = table.changes(1).frame().group_by("_change_type").len().rows()
    assert dict(kinds) == {
        "insert": 2, "delete": 2, "update_preimage": 2, "update_postimage": 2,
    }  # fmt: skip
    found = remote.table("t")
    assert sorted(found.at(version=1).frame()["k"]) == [0, 1, 2, 3]


def test_compact_and_vacuum(remote: Lake) -> None:
    table = remote.table("t", partition_by="g")
    for first in range(0, 8, 2):
        table.append(rows([first, first + 1], "old"))
    before = table.at().frame()
    table.compact()
    assert len(table.at().parts()) == 2
    assert sorted(table.at().frame().rows()) == sorted(before.rows())
    table.merge(rows([1], "new"), on="k")
    table.vacuum(retention=timedelta(0), dry_run=False)
    assert table.at().count() == 8
    assert dict(table.at().frame().select("k", "v").rows())[1] == "new"


@pytest.mark.long
def test_rival_merges(remote: Lake) -> None:
    remote.table("t").append(rows(list(range(6)), "old"))
    roots = [remote.table("t") for _ in range(4)]

    def work(number: int) -> None:
        own = roots[number]
        own.merge(rows([number, 100, 200 + number], f"by {number}"), on="k")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    now = remote.table("t").at().frame()
    assert now["k"].is_unique().all()
    assert now.height == 11
    assert set(now.filter(pl.col("k") < 4)["v"]) == {f"by {n}" for n in range(4)}
