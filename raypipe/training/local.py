"""A run in this process, without Ray: its ranks are threads that speak as ranks elsewhere do."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from raypipe.core.errors import RaypipeError, TrainingError
from raypipe.engine.threads import Awaited
from raypipe.training.checkpoints import Saver
from raypipe.training.lost import told_of_another
from raypipe.training.rounds import checkpoints_of, work

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.training.rounds import Job
    from raypipe.training.state import State

_END_S = 10.0  # for the other ranks, when one has failed


def run_local(job: Job, num_workers: int, told: Callable[[State], None]) -> State:
    """Runs the job here to its end; the model is what as many ranks elsewhere would give.

    Args:
        job: the run.
        num_workers: ranks.
        told: called with the state before each round.

    Raises:
        LakeAccessError: the checkpoints' storage failed for longer than it is waited for.
        KeyboardInterrupt: Ctrl-C; what was done is kept, and the same fit goes on.
    """
    checkpoints = checkpoints_of(job)
    begin = checkpoints.begin(job.learner.takes.resumes)
    saver = Saver(checkpoints)
    try:
        if num_workers == 1:

            def step(state: State) -> bool:
                told(state)
                return True

            return work(job, 0, 1, begin, step, saver)
        return _Ranks(job, num_workers, begin, saver, told).run()
    finally:
        saver.close()


@dataclass
class _Ranks:
    """Ranks as threads, with XGBoost's own collective on loopback between them."""

    job: Job
    world: int
    begin: State
    saver: Saver
    told: Callable[[State], None]
    stop: bool = False
    results: dict[int, State] = field(default_factory=dict)
    errors: dict[int, BaseException] = field(default_factory=dict)

    def run(self) -> State:
        from xgboost import RabitTracker

        tracker = RabitTracker(n_workers=self.world, host_ip="127.0.0.1", sortby="task")
        tracker.start()
        self._agree = threading.Barrier(self.world)
        arguments = tracker.worker_args()
        threads = [
            Awaited(partial(self._rank, rank, arguments), f"raypipe-rank-{rank}")
            for rank in range(self.world)
        ]
        for thread in threads:
            thread.start()
        try:
            self._await(threads)
        except KeyboardInterrupt:
            self.stop = True  # all ranks end before the same round, and the state is kept
            for thread in threads:
                thread.wait()
            raise
        if self.errors:
            raise self._cause()
        tracker.wait_for()
        return self.results[0]

    def _await(self, threads: list[Awaited]) -> None:
        while not all(thread.over for thread in threads):
            for thread in threads:
                thread.wait(0.05)
            if self.errors:
                for thread in threads:
                    thread.wait(_END_S / len(threads))
                return

    def _cause(self) -> BaseException:
        real = [e for e in self.errors.values() if not isinstance(e, threading.BrokenBarrierError)]
        own = [e for e in real if not told_of_another(str(e))]
        first = (own or real or list(self.errors.values()))[0]
        if isinstance(first, RaypipeError | OSError):
            return first
        error = TrainingError(
            f"run {self.job.run_id} did not finish", f"{type(first).__name__}: {first}"[:300]
        )
        error.__cause__ = first
        return error

    def _rank(self, rank: int, arguments: dict[str, object]) -> None:
        from xgboost.collective import CommunicatorContext

        def step(state: State) -> bool:
            self._agree.wait()
            going = not self.stop
            self._agree.wait()  # nobody looks again before all have looked
            if rank == 0:
                self.told(state)
            return going

        try:
            with CommunicatorContext(**arguments, dmlc_task_id=f"rank-{rank:08d}"):
                saver = self.saver if rank == 0 else None
                self.results[rank] = work(self.job, rank, self.world, self.begin, step, saver)
        except BaseException as error:  # noqa: BLE001 - raised where the ranks are awaited
            self.errors[rank] = error
            self._agree.abort()
