"""Ctrl-C between two lines of a round: it was done or it was not, and the run goes on the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import raypipe as rp
from raypipe.training import rounds
from raypipe.training.stopping import Best
from tests import small

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS, AT = 8, 4


def fitted(root: Path) -> rp.Run:
    lake = rp.Lake(root)
    lake.table("rows").append(small.rows(n=300), batch_id="rows")
    trainer = rp.Trainer(
        small.recipe(),
        label="late",
        learner=rp.XGBoost(rounds=ROUNDS, params={"subsample": 0.7}),
        early_stopping=rp.EarlyStopping(patience=ROUNDS),
        checkpoint_every=1_000,
        run_on="local",
    )
    rows = lake.table("rows").at(version=1)
    return trainer.fit(rows, rows)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", [(Best, "after"), (rounds, "extended")])
def test_a_round_counts_whole_or_not(tmp_path: Path, place: tuple[Any, str], after: bool) -> None:
    of, name = place
    real, calls = getattr(of, name), [0]

    def interrupted(*given: Any) -> Any:
        calls[0] += 1
        if calls[0] != AT:
            return real(*given)
        if after:
            real(*given)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path / "stopped")
    again, alone = fitted(tmp_path / "stopped"), fitted(tmp_path / "alone")
    assert again.facts["resumed_at"] == AT - 1
    assert again.history == alone.history
    assert [len(v) for each in again.history.values() for v in each.values()] == [ROUNDS] * 2
    assert again.bundle.content_hash == alone.bundle.content_hash
