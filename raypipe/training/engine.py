"""The call into Ray Train, and what it needs to be quick, quiet and hard to stop.

Ray Train starts the ranks and starts them again. Checkpoints are not reported to it: they go to
the lake from the first rank, beside the rounds, so no round waits for the controller and a lake in
an object store is like any other.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray import cloudpickle
from ray.exceptions import RayError
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from raypipe.core.errors import ResourceError, TrainingError
from raypipe.engine.cluster import ClusterInfo, ensure_ray
from raypipe.engine.folders import OwnedFolder
from raypipe.engine.lean import SLEEPING
from raypipe.engine.refusals import Refusals, refusal
from raypipe.engine.seats import Seats
from raypipe.training.groups import free_leaked
from raypipe.training.lost import COLLECTIVE, LOST
from raypipe.training.ranks import run_rank
from raypipe.training.rounds import Job, checkpoints_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ray.train import Result

    from raypipe.training.state import State

_SETTINGS = {
    # The controller looks at its workers once a poll; the default of 2 s is a cost of every run.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # For seconds after a node is lost Ray counts it as free: an elastic run asks for as many
    # workers as before, and for fewer only after this wait, by default of 60 s.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10",
}
# On a local cluster this only costs a process: it has one node, which cannot be preempted.
_LOCAL_SETTINGS = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
_ABORT_S = 10.0
_NAMES_AN_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")
_NEEDLESS_LOCALLY = frozenset({"PlacementGroupCleanerCallback", "DatasetsCallback"})
"""Helper actors that have nothing to do on a local cluster."""


class Quiet:
    """What a trainer of Ray's is mixed with: Ctrl-C is Python's own (Ray Train's handler ends the
    process), and helpers that have nothing to do are left out.

    Attributes:
        local: whether Ray is on this machine alone.
        left_out: names of callbacks that have nothing to do anywhere.
    """

    controller: Any = None
    local: bool = False
    left_out: frozenset[str] = frozenset()

    def _register_sigint_handler(self, controller: Any) -> None:
        self.controller = controller

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()  # type: ignore[misc]
        needless = self.left_out | (_NEEDLESS_LOCALLY if self.local else frozenset())
        return [c for c in callbacks if type(c).__name__ not in needless]

    def _initialize_and_run_controller(self, **given: Any) -> Result:
        if self.local and type(given.get("scaling_policy")) is FixedScalingPolicy:
            given["scaling_policy"] = Seats(given["scaling_policy"].scaling_config)
        if type(given.get("failure_policy")) is DefaultFailurePolicy:
            given["failure_policy"] = Refusals(given["failure_policy"].failure_config)
        return super()._initialize_and_run_controller(**given)  # type: ignore[misc]


class _Trainer(Quiet, DataParallelTrainer):  # type: ignore[misc]
    """Ray's trainer; the ranks bring their collective."""


def check_capacity(num_workers: int | tuple[int, int], cpus: float, gpus: int) -> ClusterInfo:
    """Refuses workers that the cluster can never hold; at once, before any work.

    Raises:
        ResourceError: they do not fit, and what there is.
    """
    info = ensure_ray()
    least = num_workers if isinstance(num_workers, int) else num_workers[0]
    have_gpus = float(ray.cluster_resources().get("GPU", 0.0))
    if gpus and have_gpus < least:
        raise ResourceError(
            f"{least} workers of one GPU can never start",
            f"a cluster of {have_gpus:g} GPUs",
            "Ask for fewer workers, or use device='cpu'.",
            "num_workers",
        )
    room = sum(
        int(node["Resources"].get("CPU", 0.0) // cpus) for node in ray.nodes() if node.get("Alive")
    )
    if room < least:
        raise ResourceError(
            f"{least} workers of {cpus:g} CPUs can never start",
            f"a cluster of {info.cpus:g} CPUs, with room for {room}",
            "Ask for fewer workers, or for fewer cpus_per_worker, or join a larger cluster.",
            "num_workers",
        )
    return info


def run_train(
    job: Job,
    *,
    num_workers: int | tuple[int, int],
    cpus_per_worker: float,
    gpus: int,
    max_failures: int,
) -> tuple[State, Result | None]:
    """Runs the job on Ray Train until it is finished, through failures of workers and controller.

    Args:
        job: what each rank does.
        num_workers: ranks, or the fewest and the most.
        cpus_per_worker: logical CPUs of each rank.
        gpus: GPUs of each rank, 0 or 1.
        max_failures: how often lost workers, or a lost controller, are started again.

    Raises:
        ResourceError: the cluster can never hold the workers.
        RaypipeError: a rank refused what it was given, as it would in this process.
        TrainingError: a rank failed more than ``max_failures`` times.
    """
    info = check_capacity(num_workers, cpus_per_worker, gpus)
    per_worker = resources(cpus_per_worker, gpus)
    folder, pickled = OwnedFolder.create(), cloudpickle.dumps(job)

    def made(attempt: int) -> _Trainer:
        trainer = _Trainer(
            run_rank,
            train_loop_config={"job": pickled},
            scaling_config=ray.train.ScalingConfig(
                num_workers=num_workers, resources_per_worker=per_worker, use_gpu=bool(gpus)
            ),
            run_config=ray.train.RunConfig(
                name=f"{job.run_id}-{attempt}-{time.time_ns()}",
                storage_path=folder.path,
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                # a local Ray's workers have it from the start
                worker_runtime_env={} if info.local else {"env_vars": asleep(os.environ)},
            ),
        )
        trainer.local = info.local
        return trainer

    try:
        result = fit_through(made, job.run_id, info, max_failures)
        return checkpoints_of(job).latest(), result
    finally:
        folder.remove()


def asleep(environment: Mapping[str, str]) -> dict[str, str]:
    """What workers of a joined cluster are given, so that threads that wait do not spin.

    Args:
        environment: of the driver; what the user set there wins.
    """
    return {name: environment.get(name, value) for name, value in SLEEPING.items()}


def resources(cpus: float, gpus: int) -> dict[str, float]:
    """What each rank takes, as Ray names it."""
    return {"CPU": cpus} | ({"GPU": 1} if gpus else {})


def fit_through(
    made: Callable[[int], Any],
    run_id: str,
    info: ClusterInfo,
    max_failures: int,
) -> Result:
    """What a trainer of Ray's gives; a controller that died is started again.

    Args:
        made: the trainer of an attempt, from 0; a ``Quiet`` one.
        run_id: names the run in errors.
        info: the cluster.
        max_failures: how often a lost controller is started again.

    Raises:
        RaypipeError: a worker refused what it was given, which no retry can mend.
        TrainingError: workers failed more often than the trainer allows, or the controller did.
    """
    for key, value in (_SETTINGS | (_LOCAL_SETTINGS if info.local else {})).items():
        os.environ.setdefault(key, value)
    for attempt in range(max_failures + 1):
        trainer = made(attempt)
        try:
            return trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise refusal(error) or _unfinished(run_id, error) from error
        except RayError as error:  # the controller died; its placement group outlives it
            free_leaked()
            if attempt == max_failures:
                raise _unfinished(run_id, error) from error
        except KeyboardInterrupt:
            if trainer.controller is not None:  # on a shared cluster the workers would go on
                with contextlib.suppress(Exception):
                    ray.get(trainer.controller.abort.remote(), timeout=_ABORT_S)
            raise
    raise AssertionError("unreachable: an attempt returns or raises")


def _unfinished(run_id: str, error: BaseException) -> TrainingError:
    return TrainingError(
        f"run {run_id} did not finish",
        reason(error),
        "What was done is kept: the same fit goes on from the last checkpoint.",
    )


def reason(error: BaseException) -> str:
    """The line that names what went wrong, out of all the lines of the workers' traces.

    Args:
        error: of Ray's; its text has the end of each rank's trace, one after the other.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if _NAMES_AN_ERROR.match(line)]
    own = [line for line in named if not (LOST in line or COLLECTIVE in line)]
    return (own or named or lines or [type(error).__name__])[-1][:300]
