"""The call into Ray Train, and what it needs to be quick and quiet."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray.train.xgboost import XGBoostTrainer

from raypipe.core.errors import ResourceError, TrainingError
from raypipe.engine.cluster import ensure_ray
from raypipe.training.worker import Job, train

if TYPE_CHECKING:
    from ray.train import Result

# The controller takes one report a poll; its default of 2 s would be a fixed cost of every report.
_SETTINGS = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2"}
# On a local cluster these only cost a process each: it has one node, which cannot be preempted, and
# dies with the driver, placement groups and all.
_LOCAL_SETTINGS = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
_ABORT_S = 10.0
_NAMES_AN_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")
_NEEDLESS_LOCALLY = {"PlacementGroupCleanerCallback", "DatasetsCallback"}


class _Trainer(XGBoostTrainer):  # type: ignore[misc]
    """The same trainer, but Ctrl-C is Python's own: Ray Train's handler ends the process."""

    controller: Any = None

    def _register_sigint_handler(self, controller: Any) -> None:
        self.controller = controller


class _LocalTrainer(_Trainer):
    """The same trainer without helper actors that have nothing to do on a local cluster."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        return [c for c in callbacks if type(c).__name__ not in _NEEDLESS_LOCALLY]


def run_train(
    job: Job,
    *,
    name: str,
    storage: str,
    num_workers: int,
    cpus_per_worker: float,
    max_failures: int,
) -> Result:
    """Runs the job on Ray Train until it is finished, through worker failures.

    Args:
        job: what each rank does.
        name: the run's name; a used name goes on from its last checkpoint.
        storage: the folder below which Ray Train keeps the run.
        num_workers: ranks.
        cpus_per_worker: logical CPUs of each rank.
        max_failures: how often a lost worker group is started again.

    Raises:
        ResourceError: the cluster has fewer CPUs than the workers need together.
        TrainingError: a rank failed more than ``max_failures`` times, or failed with an error that
            a retry cannot mend.
    """
    info = ensure_ray()
    need, have = num_workers * cpus_per_worker, info.cpus
    if need > have:
        raise ResourceError(
            f"{num_workers} workers of {cpus_per_worker:g} CPUs can never start",
            f"a cluster of {have:g} CPUs",
            "Ask for fewer workers, or for fewer cpus_per_worker, or join a larger cluster.",
            "num_workers",
        )
    for key, value in (_SETTINGS | (_LOCAL_SETTINGS if info.local else {})).items():
        os.environ.setdefault(key, value)
    trainer_class = _LocalTrainer if info.local else _Trainer
    trainer = trainer_class(
        _loop,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(
            num_workers=num_workers, resources_per_worker={"CPU": cpus_per_worker}
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=storage,
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            failure_config=ray.train.FailureConfig(max_failures=max_failures),
        ),
    )
    try:
        return trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise TrainingError(
            f"run {name} did not finish",
            _reason(error),
            "What was done is kept: the same fit goes on from the last checkpoint.",
        ) from error
    except KeyboardInterrupt:
        if trainer.controller is not None:  # on a shared cluster the workers would go on
            with contextlib.suppress(Exception):
                ray.get(trainer.controller.abort.remote(), timeout=_ABORT_S)
        raise


def _loop(config: dict[str, Any]) -> None:
    train(config["job"])


def _reason(error: BaseException) -> str:
    """The line that names the error, out of all the lines of a worker's trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if _NAMES_AN_ERROR.match(line)]
    return (named or lines or [type(error).__name__])[-1][:300]
