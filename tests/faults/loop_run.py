"""A driver that trains a loop of its own. Prints the model's hash and where it went on."""

from __future__ import annotations

import sys
from typing import Any

import raypipe as rp
from tests import loop_of_ours, small
from tests.faults.training_run import fill

ROUNDS = 6


def fit(lake: rp.Lake, **config: Any) -> rp.Run:
    learner = rp.TrainLoop(
        loop_of_ours.fit,
        config={"rounds": ROUNDS, "rate": 1.0, **config},
        load=loop_of_ours.load,
        predict=loop_of_ours.predict,
        backend="xgboost",
    )
    trainer = rp.Trainer(small.recipe(), label="late", learner=learner, num_workers=2)
    rows = lake.table("rows").at(version=3)
    return trainer.fit(rows, rows)


if __name__ == "__main__":
    run = fit(fill(sys.argv[1]), pause=1.0)
    print(run.bundle.content_hash, run.facts["resumed_at"])
