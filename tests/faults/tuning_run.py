"""A driver that searches: the same search whatever is asked for around it.

Prints its trials, or the notes of a Ctrl-C.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from ray import tune

import raypipe as rp
from tests import small

INTERRUPTED = 77
"""How this driver ends when it met a KeyboardInterrupt."""


def space() -> dict[str, Any]:
    return {
        "max_depth": tune.randint(1, 7),
        "learning_rate": tune.loguniform(0.02, 0.9),
        "subsample": tune.uniform(0.4, 1.0),
        "grow_policy": tune.choice(["depthwise", "lossguide"]),
        "gamma": 0.1,
    }


def fill(root: str) -> rp.Lake:
    lake = rp.Lake(root)
    lake.table("rows").append(small.rows(n=900, seed=0), batch_id="rows")
    lake.table("judged").append(small.rows(n=500, seed=1), batch_id="judged")
    return lake


def trainer(**settings: Any) -> rp.Trainer:
    learner = rp.XGBoost(rounds=20, params={"eval_metric": ["logloss", "auc"]})
    return rp.Trainer(small.recipe(), label="late", learner=learner, seed=5, **settings)


def tuned(lake: rp.Lake, made: rp.Trainer | None = None, **settings: Any) -> rp.TuneResult:
    tuner = rp.Tuner(made or trainer(), space(), **{"num_samples": 10, "workers": 1, **settings})
    return tuner.fit(lake.table("rows").at(version=1), lake.table("judged").at(version=1))


def told(result: rp.TuneResult) -> list[Any]:
    """All of the trials but their seconds."""
    return [
        [t.number, dict(t.params), t.status, t.value, t.best_round, list(map(list, t.history))]
        for t in result.trials
    ]


if __name__ == "__main__":
    # A process that a shell began in its background ignores SIGINT, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    root, settings = sys.argv[1], json.loads(sys.argv[2])
    made = trainer(**settings.pop("trainer", {}))
    try:
        print(json.dumps(told(tuned(fill(root), made, **settings))))
    except KeyboardInterrupt as error:
        print("\n".join(error.__notes__))
        sys.exit(INTERRUPTED)
