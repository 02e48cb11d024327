"""A driver that trains: the same run whatever is asked for around it. Prints the model's hash."""

from __future__ import annotations

import sys
from typing import Any

import raypipe as rp
from tests import small

ROUNDS = 30
PARAMS = {
    "subsample": 0.7,
    "colsample_bytree": 0.7,
    "colsample_bynode": 0.8,
    "eval_metric": ["logloss", "auc"],
}
KINDS: dict[str, dict[str, Any]] = {
    "sampled": PARAMS,
    "dart": {**PARAMS, "booster": "dart", "rate_drop": 0.3},
    "forest": {**PARAMS, "num_parallel_tree": 3},
}


def fill(root: str, options: dict[str, str] | None = None) -> rp.Lake:
    lake = rp.Lake(root, storage_options=options)
    for part in range(3):
        lake.table("rows").append(small.rows(n=700, seed=part), batch_id=f"part-{part}")
    return lake


def fit(lake: rp.Lake, kind: str = "sampled", **settings: Any) -> rp.Run:
    """Rows as filled, whatever was written since; a schedule and early stopping are on."""
    rows = lake.table("rows").at(version=3)
    learner = rp.XGBoost(
        rounds=ROUNDS,
        max_depth=3,
        learning_rate=rp.Schedule(start=0.3, end=0.05, warmup=3),
        params=KINDS[kind],
    )
    trainer = rp.Trainer(
        small.recipe(),
        label="late",
        learner=learner,
        seed=5,
        early_stopping=rp.EarlyStopping(patience=12, metric="auc"),
        **{"num_workers": 2, "checkpoint_every": 1, **settings},
    )
    return trainer.fit(rows, valid=rows)


if __name__ == "__main__":
    root, kind, run_on, workers = sys.argv[1:5]
    run = fit(rp.Lake(root), kind, run_on=run_on, num_workers=int(workers))
    print(run.bundle.content_hash, len(run.history["valid"]["auc"]), run.facts["resumed_at"])
