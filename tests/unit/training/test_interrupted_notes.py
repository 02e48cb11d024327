"""What the note of a Ctrl-C says of a learner that keeps no round before its last."""

from __future__ import annotations

import raypipe as rp
from raypipe.training.interrupted import run_note


def test_a_learner_that_cannot_go_on_begins_again(lake_root: str) -> None:
    lake = rp.Lake(lake_root)
    draws = rp.LightGBM(params={"bagging_fraction": 0.5})
    call = 'the same fit, or rp.Trainer.resume(lake, "abc"),'
    note = f"Of run abc no round is kept, since it cannot go on: {call} begins it again."
    assert run_note(lake, "abc", draws) == note
    for learner in (rp.LightGBM(), rp.XGBoost()):
        assert run_note(lake, "abc", learner).startswith("Run abc has no round yet: ")
