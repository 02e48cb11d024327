"""The call into Ray Train for a loop of the user's own, and what comes of it as a model."""

from __future__ import annotations

import contextlib
import inspect
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import ray.train
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from raypipe.core.errors import MissingPartError, TrainingError
from raypipe.engine.cluster import ensure_ray
from raypipe.models.forms.folder import to_bytes
from raypipe.training.checkpoints import patient
from raypipe.training.engine import (
    Quiet,
    check_capacity,
    fit_through,
    resources,
)
from raypipe.training.loops.reports import LoopCallback, Reports, history_of, up_to_checkpoint
from raypipe.training.loops.storage import lake_filesystem
from raypipe.training.progress import looking
from raypipe.training.state import State
from raypipe.training.stopping import Best

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ray.train import Result

    from raypipe.engine.progress import Line
    from raypipe.training.loops.settings import TrainLoop
    from raypipe.training.rounds import Job

_BACKENDS = {
    "xgboost": ("ray.train.xgboost", "XGBoostConfig"),
    "torch": ("ray.train.torch", "TorchConfig"),
}
_KEPT = 2  # checkpoints
_LOOK_S = 1.0


class _Trainer(Quiet, DataParallelTrainer):  # type: ignore[misc]
    """Ray's trainer with any backend."""


def backend_config(name: str) -> Any:
    """The setting of Ray's for a backend.

    Raises:
        MissingPartError: its library is not installed.
    """
    if name not in _BACKENDS:
        return None
    module, kind = _BACKENDS[name]
    try:
        return getattr(import_module(module), kind)()
    except ImportError as error:
        raise MissingPartError(
            f"the backend {name} is not installed", str(error), f"Run: pip install {name}", name
        ) from error


def run_loop(
    job: Job,
    learner: TrainLoop,
    line: Line,
    *,
    num_workers: int | tuple[int, int],
    cpus_per_worker: float,
    gpus: int,
    max_failures: int,
) -> tuple[State, Result]:
    """Runs a loop on Ray Train to its end, through failures of workers and controller.

    Args:
        job: the rows.
        learner: the loop.
        line: tells of its reports.
        num_workers: workers, or the fewest and the most.
        cpus_per_worker: logical CPUs of each.
        gpus: GPUs of each, 0 or 1.
        max_failures: how often lost workers, or a lost controller, are started again.

    Returns:
        The finished state, and Ray's result.

    Raises:
        ResourceError: the cluster can never hold the workers.
        TrainingError: the loop failed more than ``max_failures`` times, or kept no checkpoint.
    """
    ensure_ray()
    info = check_capacity(num_workers, cpus_per_worker, gpus)
    per_worker = resources(cpus_per_worker, gpus)
    reports = Reports(job.lake, job.run_id)

    takes = inspect.signature(learner.loop).parameters  # type: ignore[arg-type]
    config = {"seed": job.seed, **learner.config} if takes else None

    def made(_: int) -> _Trainer:
        trainer = _Trainer(
            learner.loop,
            train_loop_config=config,
            backend_config=backend_config(learner.backend),
            scaling_config=ray.train.ScalingConfig(
                num_workers=num_workers, resources_per_worker=per_worker, use_gpu=bool(gpus)
            ),
            run_config=ray.train.RunConfig(
                name=f"train-{job.run_id}",  # the same in each attempt: Ray goes on by it
                storage_path=f"runs/{job.run_id}",
                storage_filesystem=lake_filesystem(job.lake),
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=_KEPT),
                callbacks=[LoopCallback(job)],
            ),
        )
        trainer.local, trainer.left_out = info.local, frozenset({"DatasetsCallback"})
        return trainer

    with _told(line, reports):
        result = fit_through(made, job.run_id, info, max_failures)
    if result.checkpoint is None:
        raise TrainingError(
            f"the loop of run {job.run_id} ended without a checkpoint",
            f"{len(reports.read())} reports",
            "Its model is what it reports last: ray.train.report(metrics, checkpoint=…).",
        )
    load, predict = learner.names
    model = to_bytes(_files(job, result.checkpoint.path), load, predict)
    found = reports.read()
    best = Best(round=len(up_to_checkpoint(found)) - 1)  # the model is that of this report
    state = State(model=model, rounds=len(found), history=history_of(found), best=best, done=True)
    return state, result


def _files(job: Job, folder: str) -> dict[str, bytes]:
    files = job.lake.files
    paths = patient(files.list, folder)
    return {path.removeprefix(f"{folder}/"): patient(files.get, path) for path in paths}


@contextlib.contextmanager
def _told(line: Line, reports: Reports) -> Iterator[None]:
    """Follows the reports by what lies in the lake, which costs the loop nothing."""
    if line.quiet:
        yield
        return

    def look() -> Callable[[], None] | None:
        found = reports.read()
        if not found:
            return None
        figures = list(found[-1]["metrics"].items())[:3]
        said = [f"report {len(found)}", *(f"{k} {v:.4g}" for k, v in figures)]
        return partial(line.say, " · ".join(said))

    with looking(look, _LOOK_S):
        yield
