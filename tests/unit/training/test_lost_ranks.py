"""Of several ranks the one that failed is told, and not those that waited for it in vain."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

import raypipe as rp
from raypipe.core.errors import RecipeError, TrainingError
from raypipe.training.engine import reason
from raypipe.training.local import _Ranks
from raypipe.training.lost import LOST
from raypipe.training.xgboost_errors import first_words, in_words
from tests import small

OWN = RecipeError("the feature 'x' is infinite in a row", "inf")
WAITED = TrainingError("XGBoost cannot take the rows", LOST)


def summed() -> None:
    xgboost.collective.allreduce(np.ones(3), xgboost.collective.Op.SUM)


def binned() -> None:
    xgboost.QuantileDMatrix(np.eye(9), label=np.ones(9), nthread=1)


@pytest.mark.parametrize("waits", [summed, binned])
def test_a_rank_that_waits_in_vain_says_that_another_failed(waits: Any) -> None:
    tracker = xgboost.RabitTracker(n_workers=2, host_ip="127.0.0.1", sortby="task")
    tracker.start()
    raised: dict[int, BaseException] = {}

    def rank(number: int) -> None:
        try:
            with (
                xgboost.collective.CommunicatorContext(
                    **tracker.worker_args(), dmlc_task_id=f"rank-{number}"
                ),
                in_words("XGBoost cannot"),
            ):
                if number == 1:
                    raise OWN
                waits()
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised[number] = error

    threads = [threading.Thread(target=rank, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert raised[1] is OWN
    assert isinstance(raised[0], TrainingError)
    assert raised[0].got == LOST


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_it_does_not_matter_who_says_so_first(order: tuple[int, int]) -> None:
    errors: dict[int, BaseException] = {0: WAITED, 1: OWN}
    given: Any = None
    ranks = _Ranks(given, 2, given, given, given, errors={rank: errors[rank] for rank in order})
    assert ranks._cause() is OWN
    alone = _Ranks(given, 2, given, given, given, errors={0: WAITED})
    assert alone._cause() is WAITED


def snippet(rank: int, error: Exception) -> str:
    """What Ray Train tells of a rank: the end of its trace."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    return f'[Rank {rank} Error Snippet]:\n  File "rounds.py", line 3, in work\n{kind}: {error}\n'


@pytest.mark.parametrize("errors", [(OWN, WAITED), (WAITED, OWN), (OWN, OWN)])
def test_of_the_traces_of_ray_train_that_of_the_rank_is_told(errors: tuple[Exception, ...]) -> None:
    text = "".join(snippet(*one) for one in enumerate(errors))
    assert reason(RuntimeError(text)).endswith(str(OWN))


NCCL = """[1:2:3] /__w/xgboost/src/collective/result.cc:83: [gpu_hist.cu:12|1:2:3]:

- [comm.cu:45|1:2:3]: Bootstrap failed.
- [nccl_stub.cc:9|1:2:3]: Failed to load nccl.
Stack trace:
  [bt] (0) libxgboost.so(+0x2c1a8c) [0x7f2d49cc1a8c]
"""


def test_what_ranks_cannot_do_together_for_another_reason_is_told() -> None:
    assert first_words(NCCL) == "Failed to load nccl."
    broken = TrainingError("XGBoost cannot take the rows", first_words(NCCL))
    text = snippet(0, broken) + snippet(1, xgboost.core.XGBoostError(NCCL))
    assert reason(RuntimeError(text)).endswith(str(broken))


def test_where_nobody_knows_more_that_is_told() -> None:
    told = reason(RuntimeError(snippet(0, WAITED)))
    assert told.endswith(str(WAITED))
    assert reason(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize("row", [7, 590])
def test_a_feature_that_is_infinite_on_one_rank_is_named(lake_root: str, row: int) -> None:
    bad = small.rows(n=600).with_columns(
        x=pl.when(pl.int_range(pl.len()) == row).then(float("inf")).otherwise("x")
    )
    table = rp.Lake(lake_root).table("rows")
    for number in range(2):
        table.append(bad.slice(number * 300, 300), batch_id=f"{number}")
    trainer = rp.Trainer(
        small.recipe(),
        label="late",
        learner=rp.XGBoost(rounds=3),
        num_workers=2,
        run_on="local",
    )
    with pytest.raises(RecipeError, match="feature 'x' is infinite"):
        trainer.fit(table.at())
