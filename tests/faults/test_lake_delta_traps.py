"""What Delta's library accepts and what would corrupt or lose rows: each trap, and that it is
avoided. Traps with tests of their own: batches used twice and many writers (``test_concurrency``),
conflicts of changes and checks of files (``test_log_commit``), batch ids that outlive checkpoints
and clocks (``test_lake_clock``), paths of partitions (``test_golden_lake``), NaN in statistics
(``test_lake_laws``), files of writes that failed (``test_upkeep_vacuum``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import RaypipeError
from raypipe.lake import Lake, Table
from raypipe.lake.log import commit as door


def make(root: str, files: int = 4) -> Table:
    table = Lake(root).table("t")
    for n in range(files):
        table.append(pl.DataFrame({"n": [n], "x": [float(n)]}), batch_id=str(n))
    return table


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Another writer acts between the view of a commit and its entry, once."""
    plain, done = door.open_store, []

    def open_store(*where: Any) -> Any:
        store = plain(*where)

        class Rival:
            def __getattr__(self, name: str) -> Any:
                return getattr(store, name)

            def put_new(self, path: str, data: bytes) -> bool:
                if not done:
                    done.append(True)
                    act()
                return bool(store.put_new(path, data))

        return Rival()

    monkeypatch.setattr(door, "open_store", open_store)


def test_an_overwrite_decided_before_a_compaction(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make(lake_root)
    meanwhile(monkeypatch, lambda: deltalake.DeltaTable(table.uri).optimize.compact())
    table.overwrite(pl.DataFrame({"n": [9], "x": [9.0]}))
    assert table.at().frame()["n"].to_list() == [9]
    assert pl.scan_delta(table.uri).collect().height == 1


def test_a_change_decided_before_a_compaction(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make(lake_root)
    meanwhile(monkeypatch, lambda: deltalake.DeltaTable(table.uri).optimize.compact())
    table.update(pl.col("n") == 2, {"x": -1.0})
    assert sorted(table.at().frame().rows()) == [(0, 0.0), (1, 1.0), (2, -1.0), (3, 3.0)]


def test_a_compaction_decided_before_a_delete(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make(lake_root)
    meanwhile(monkeypatch, lambda: deltalake.DeltaTable(table.uri).delete("n = 1"))
    table.compact()
    assert sorted(table.at().frame()["n"]) == [0, 2, 3]


def test_an_append_beside_an_overwrite_is_not_lost(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, late = make(lake_root), pl.DataFrame({"n": [7], "x": [7.0]})
    # the overwrite takes the place of all that is there when it commits
    meanwhile(monkeypatch, lambda: table.overwrite(late.with_columns(n=pl.lit(5, pl.Int64))))
    Lake(lake_root).table("t").append(late)
    assert sorted(table.at().frame()["n"]) == [5, 7]


def test_thirty_two_appends_at_once_lose_none(lake_root: str) -> None:
    make(lake_root, 1)

    def append(n: int) -> None:
        Lake(lake_root).table("t").append(pl.DataFrame({"n": [n], "x": [0.0]}))

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(append, range(100, 132)))
    assert sorted(Lake(lake_root).table("t").at().frame()["n"]) == [0, *range(100, 132)]


def test_a_column_without_a_value_keeps_a_type(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"n": [1], "empty": [None]}))
    types = {f.name: str(f.type) for f in deltalake.DeltaTable(table.uri).schema().fields}
    assert "void" not in str(types)
    assert pl.scan_delta(table.uri).collect().height == 1


def test_statistics_are_those_of_every_reader(lake_root: str) -> None:
    table = make(lake_root)
    actions = pl.DataFrame(deltalake.DeltaTable(table.uri).get_add_actions(flatten=True))
    assert {"num_records", "min.n", "max.n", "null_count.x", "min.x"} <= set(actions.columns)
    assert actions["min.n"].to_list() == actions["max.n"].to_list()
    uris = deltalake.DeltaTable(table.uri).file_uris(file_pruning_predicate="n = 2")
    assert len(uris) == 1


def test_a_pruned_file_need_not_be_there(lake_root: str) -> None:
    table = make(lake_root)
    gone = table.at().where(pl.col("n") == 3).parts()[0]
    Path(gone.uri).unlink()
    assert table.at().where(pl.col("n") < 3).frame()["n"].to_list() == [0, 1, 2]
    with pytest.raises(RaypipeError, match=Path(gone.uri).name):
        table.at().frame()


def test_a_block_that_fails_commits_nothing(ray_session: None, lake_root: str) -> None:
    import ray

    def bad(batch: dict[str, Any]) -> dict[str, Any]:
        if 35 in batch["id"]:
            raise ValueError("a bad block")
        return batch

    data = ray.data.range(40, override_num_blocks=4)
    with pytest.raises(Exception, match="bad block"):
        Lake(lake_root).table("t").append(data.map_batches(bad), batch_id="b")
    assert not Lake(lake_root).table("t").exists
    table = Lake(lake_root).table("t")
    table.append(data, batch_id="b")
    assert sorted(table.at().frame()["id"]) == list(range(40))


def test_the_feed_of_a_change_has_the_rows_that_changed_and_no_other(lake_root: str) -> None:
    table = Lake(lake_root).table("t", properties={"delta.enableChangeDataFeed": "true"})
    table.append(pl.DataFrame({"n": [1, 2, 3], "x": [1.0, 2.0, 3.0]}))
    table.merge(pl.DataFrame({"n": [2, 4], "x": [9.0, 4.0]}), "n")
    feed = pl.DataFrame(deltalake.DeltaTable(table.uri).load_cdf(starting_version=2))
    rows = sorted(feed.select("_change_type", "n", "x").rows())
    assert rows == [
        ("insert", 4, 4.0), ("update_postimage", 2, 9.0), ("update_preimage", 2, 2.0),
    ]  # fmt: skip
