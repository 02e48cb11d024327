"""What one rank of a training run does."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import ray.train
import xgboost

from raypipe.core.faults import fault_point, wanted_faults
from raypipe.features import FittedRecipe
from raypipe.training import checkpoints, feeding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.core.scan import ScanPart
    from raypipe.training.learner import XGBoost
    from raypipe.training.plan import Shards


Eval = tuple[xgboost.DMatrix, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """All that a rank needs; pickles."""

    recipe: str
    learner: XGBoost
    seed: int
    threads: int
    checkpoint_every: int
    parts: Sequence[ScanPart]
    shards: Shards
    valid_parts: Sequence[ScanPart]
    valid_shards: Shards
    faults: Mapping[str, str] = field(default_factory=wanted_faults)


def train(job: Job) -> None:
    """One rank: reads its own rows, grows the trees with the others, hands in checkpoints."""
    os.environ.update(job.faults)
    rank = ray.train.get_context().get_world_rank()
    recipe = FittedRecipe.from_json(job.recipe)
    names = recipe.feature_names
    settings = {"max_bin": job.learner.max_bin, "threads": job.threads}
    batches = list(feeding.read_batches(job.parts, job.shards[rank], recipe))
    dtrain = feeding.matrix(batches, names, **settings)
    totals = np.array([(len(y), y.sum()) for _, y in batches], dtype=np.float64).reshape(-1, 2)
    rows, positives = xgboost.collective.allreduce(totals.sum(axis=0), xgboost.collective.Op.SUM)
    del batches
    evals = [(dtrain, "train")]
    if job.valid_parts:
        held = list(feeding.read_batches(job.valid_parts, job.valid_shards[rank], recipe))
        evals.append((feeding.matrix(held, names, ref=dtrain, **settings), "valid"))
        del held
    resumed = ray.train.get_checkpoint()
    state = checkpoints.from_checkpoint(resumed) if resumed else checkpoints.State()
    state = replace(state, rows=int(rows), positives=int(positives))
    while state.rounds < job.learner.rounds:
        state = grow(job, dtrain, evals, state)
        report(state)


def grow(
    job: Job, dtrain: xgboost.DMatrix, evals: Sequence[Eval], before: checkpoints.State
) -> checkpoints.State:
    """The rounds up to the next checkpoint, grown by a booster made anew from the last one's bytes.

    XGBoost keeps random state outside of the model: a booster that goes on and one that was loaded
    draw other rows and columns, ``seed_per_iteration`` or not. Begun anew at each checkpoint, the
    undisturbed run draws what a resumed one draws.
    """
    params = job.learner.booster_params(seed=job.seed, threads=job.threads)
    cache = [matrix for matrix, _ in evals]
    model = bytearray(before.model) if before.model else None
    booster = xgboost.Booster(params, cache, model_file=model)
    history = copy.deepcopy(before.history)
    until = min(before.rounds + job.checkpoint_every, job.learner.rounds)
    for number in range(before.rounds, until):
        booster.update(dtrain, iteration=number)
        _note(history, booster.eval_set(evals, number))
        fault_point("training:round")
    return replace(before, model=bytes(booster.save_raw("ubj")), rounds=until, history=history)


def report(state: checkpoints.State) -> None:
    """Tells Ray Train the round; rank 0 hands in the state."""
    metrics: dict[str, float] = {"round": state.rounds}
    for name, figures in state.history.items():
        metrics |= {f"{name}-{metric}": values[-1] for metric, values in figures.items()}
    if ray.train.get_context().get_world_rank() != 0:
        ray.train.report(metrics)
        return
    with checkpoints.as_checkpoint(state) as checkpoint:
        ray.train.report(metrics, checkpoint=checkpoint)


def _note(history: checkpoints.History, line: str) -> None:
    """Adds the figures of a line like ``[3]	train-logloss:0.61	valid-logloss:0.63``."""
    for item in line.split("\t")[1:]:
        key, _, value = item.rpartition(":")
        name, _, metric = key.partition("-")
        history.setdefault(name, {}).setdefault(metric, []).append(float(value))
