"""What a worker of Ray Train runs: one rank. It imports nothing of Ray Train's that a rank lacks.

The trainer for XGBoost that comes with Ray would set up the collective from the controller, and so
have the controller, and each worker, import XGBoost, scikit-learn and Ray Tune before they begin.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray import cloudpickle
from ray.train.collective import broadcast_from_rank_zero

from raypipe.training.checkpoints import Saver
from raypipe.training.rounds import Job, checkpoints_of, work
from raypipe.training.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

_END_S = 10.0  # for the other ranks to leave the collective


def run_rank(config: dict[str, Any]) -> None:
    """One rank: all begin from the state that the first one reads.

    Args:
        config: ``job``, pickled: the controller passes it on and has no need of it.
    """
    job: Job = cloudpickle.loads(config["job"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    checkpoints = checkpoints_of(job)
    begin = checkpoints.begin(job.learner.takes.resumes) if rank == 0 else State()
    with contextlib.ExitStack() as stack:
        if world > 1:
            import xgboost

            stack.enter_context(_collective(rank, world))
            begin = xgboost.collective.broadcast(begin, 0)
        saver = Saver(checkpoints) if rank == 0 else None
        try:
            work(job, rank, world, begin, lambda _: True, saver)
        finally:
            if saver is not None:
                saver.close()


@contextlib.contextmanager
def _collective(rank: int, world: int) -> Iterator[None]:
    """XGBoost's collective between the ranks, whose tracker is the first one's."""
    from xgboost import RabitTracker
    from xgboost.collective import CommunicatorContext

    waiting: threading.Thread | None = None
    arguments: dict[str, Any] | None = None
    if rank == 0:
        host = ray.util.get_node_ip_address()
        tracker = RabitTracker(n_workers=world, host_ip=host, sortby="task")
        tracker.start()
        waiting = threading.Thread(target=tracker.wait_for, name="raypipe-tracker", daemon=True)
        waiting.start()
        arguments = tracker.worker_args()
    arguments = broadcast_from_rank_zero(arguments)
    with CommunicatorContext(**arguments, dmlc_task_id=f"rank-{rank:08d}"):
        yield
    if waiting is not None:
        waiting.join(_END_S)
