"""What one rank of a training run does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ray.train
import xgboost

from raypipe.core.faults import fault_point
from raypipe.features import FittedRecipe
from raypipe.training import checkpoints, feeding

if TYPE_CHECKING:
    from raypipe.core.scan import ScanPart
    from raypipe.training.learner import XGBoost
    from raypipe.training.plan import Shards


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """All that a rank needs; pickles."""

    recipe: str
    learner: XGBoost
    seed: int
    threads: int
    checkpoint_every: int | timedelta
    parts: Sequence[ScanPart]
    shards: Shards
    valid_parts: Sequence[ScanPart]
    valid_shards: Shards


class _Checkpoints(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Reports a checkpoint every so many rounds, or as soon as so much time has passed.

    Reporting is a barrier, so all ranks must agree on the round: by rounds they do by themselves; by
    time rank 0 decides and tells the others.
    """

    def __init__(self, job: Job, before: checkpoints.History) -> None:
        self._every = job.checkpoint_every
        self._rounds = job.learner.rounds
        self._before = before
        self._last = time.monotonic()

    def after_iteration(
        self, model: xgboost.Booster, epoch: int, evals_log: Mapping[str, Any]
    ) -> bool:
        done = model.num_boosted_rounds()
        fault_point("training:round")
        if done < self._rounds and self._due(done):
            history = checkpoints.joined(self._before, _plain(evals_log))
            report(model, done, history)
            self._last = time.monotonic()
        return False

    def _due(self, done: int) -> bool:
        if isinstance(self._every, int):
            return done % self._every == 0
        mine = time.monotonic() - self._last >= self._every.total_seconds()
        return bool(xgboost.collective.broadcast(mine, 0))


def report(model: xgboost.Booster, done: int, history: checkpoints.History) -> None:
    """Tells Ray Train the round; rank 0 hands in the state."""
    metrics = {"round": done} | {
        f"{name}-{metric}": values[-1]
        for name, metrics in history.items()
        for metric, values in metrics.items()
    }
    if ray.train.get_context().get_world_rank() != 0:
        ray.train.report(metrics)
        return
    state = checkpoints.State(model=bytes(model.save_raw("ubj")), rounds=done, history=history)
    with checkpoints.as_checkpoint(state) as checkpoint:
        ray.train.report(metrics, checkpoint=checkpoint)


def train(job: Job) -> None:
    """One rank: reads its own rows, grows the trees with the others, hands in checkpoints."""
    rank = ray.train.get_context().get_world_rank()
    recipe = FittedRecipe.from_json(job.recipe)
    names = recipe.feature_names
    settings = {"max_bin": job.learner.max_bin, "threads": job.threads}
    batches = list(feeding.read_batches(job.parts, job.shards[rank], recipe))
    dtrain = feeding.matrix(batches, names, **settings)
    del batches
    evals = [(dtrain, "train")]
    if job.valid_parts:
        held = list(feeding.read_batches(job.valid_parts, job.valid_shards[rank], recipe))
        evals.append((feeding.matrix(held, names, ref=dtrain, **settings), "valid"))
        del held
    resumed = ray.train.get_checkpoint()
    state = checkpoints.from_checkpoint(resumed) if resumed else None
    booster = xgboost.Booster(model_file=bytearray(state.model)) if state else None
    done = state.rounds if state else 0
    before = state.history if state else {}
    log: dict[str, Any] = {}
    model = xgboost.train(
        job.learner.booster_params(seed=job.seed, threads=job.threads),
        dtrain,
        num_boost_round=job.learner.rounds - done,
        evals=evals,
        evals_result=log,
        verbose_eval=False,
        xgb_model=booster,
        callbacks=[_Checkpoints(job, before)],
    )
    report(model, model.num_boosted_rounds(), checkpoints.joined(before, _plain(log)))


def _plain(log: Mapping[str, Any]) -> checkpoints.History:
    return {
        name: {metric: [float(v) for v in values] for metric, values in metrics.items()}
        for name, metrics in log.items()
    }
