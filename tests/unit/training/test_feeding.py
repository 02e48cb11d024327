"""A rank's rows come in one order, however many of their pieces are read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import LakeError
from raypipe.training.feeding import Batch, Feed
from raypipe.training.matrices import _Spilled
from raypipe.training.plan import plan_shards
from raypipe.training.survey import Roles, survey
from tests import small

if TYPE_CHECKING:
    from pathlib import Path

FILES = 5


def feeds(root: Path, ranks: int, group: bool = False) -> list[Feed]:
    table = rp.Lake(root).table("rows")
    for number in range(FILES):
        frame = small.rows(n=200 + number, seed=number).with_columns(
            w=pl.col("x").abs(), day=pl.lit(number) + pl.int_range(pl.len()) // 150
        )
        unknown = pl.when(pl.int_range(pl.len()) % 7 > 0).then("late")
        table.append(frame.with_columns(late=unknown), batch_id=f"{number}")
    rows = table.at()
    fitted = small.recipe().fit(rows, label="late", run_on="local")
    roles = Roles(weight="w", group="day" if group else None)
    look = survey(rows, fitted, roles, run_on="local")
    return [
        Feed(pieces=look.pieces, shard=shard, recipe=fitted, roles=roles, fitted_on=True)
        for shard in plan_shards(look.known, ranks, look.runs)
    ]


def same(one: Batch, other: Batch) -> bool:
    names = ("features", "label", "weight", "group")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    return all((a is None and b is None) or np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("ranks", [1, 3])
def test_threads_change_nothing(tmp_path: Path, ranks: int, group: bool) -> None:
    for feed in feeds(tmp_path, ranks, group):
        alone = list(feed.batches())
        assert sum(len(batch.label) for batch in alone) == feed.rows
        for threads in (2, 4):
            at_once = list(feed.batches(threads))
            assert len(at_once) == len(alone)
            assert all(map(same, alone, at_once))


def test_what_lies_in_a_file_comes_back(tmp_path: Path) -> None:
    (feed,) = feeds(tmp_path, 1)
    held, spilled = list(feed.batches()), _Spilled(feed.batches(2), str(tmp_path), joined=False)
    assert len(spilled) == len(held)
    assert all(same(batch, spilled[number]) for number, batch in enumerate(held))
    one = _Spilled(held, str(tmp_path), joined=True)
    assert len(one) == 1
    assert same(one[0], feed.whole())
    none = _Spilled([], str(tmp_path), joined=True)
    assert not len(none)
    for files in (spilled, one, none):
        files._file.close()


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    (feed,) = feeds(tmp_path, 1)
    files = sorted((tmp_path / "rows").glob("*.parquet"))
    files[-1].unlink()
    with pytest.raises(LakeError):
        list(feed.batches(2))
