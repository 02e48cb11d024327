"""Run one function over many parts of a job, here or on the cluster, and give the results in order.

A part is cut so that nothing passes through the driver but the part's own description and the
small result. Here, some parts run at once in threads; on the cluster, Ray Data's executor runs
one task a part, with its own progress, back-pressure, autoscaling and retries.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Sized
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from raypipe.core.errors import EngineError
from raypipe.engine.place import Choice, Place, RunOn, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future

__all__ = ["Choice", "Place", "RunOn", "choose_place", "run_parts"]

Part = TypeVar("Part")
Result = TypeVar("Result")
logger = logging.getLogger(__name__)

_RETRIES = 3  # of a part whose worker died
_LARGE = 1 << 20
"""A part of more bytes than this travels alone; smaller ones travel together."""

_STOP_S = 30.0
"""How long a part may take to end when it is asked to; after it its worker is killed."""

_lock, _levels = threading.Lock(), list[int]()

_WORTH_ASKING_BYTES = 256 * 1024**2
"""Joining a cluster that is named but not joined yet takes seconds: not for less than this."""


def choose_place(run_on: RunOn, parts: int, bytes_hint: int) -> Choice:
    """Where ``run_parts`` would run; ``"auto"`` looks at the cluster, and says what it chose.

    Raises:
        ConfigError: ``run_on`` is none of the three.
        EngineError: the cluster that ``RAY_ADDRESS`` names does not answer.
    """
    from raypipe.engine.cluster import cluster_cpus, cores

    large = bytes_hint >= _WORTH_ASKING_BYTES
    cpus = cluster_cpus(join=large) if run_on == "auto" and parts > 1 else None
    choice = choose(run_on, parts=parts, nbytes=bytes_hint, cores=cores(), cluster_cpus=cpus)
    if run_on == "auto":
        logger.info("%d parts of %d bytes run %s: %s", parts, bytes_hint, choice.place, choice.why)
    return choice


def run_parts(
    fn: Callable[[Part], Result],
    parts: Sequence[Part],
    *,
    run_on: RunOn = "auto",
    bytes_hint: int = 0,
    threads: int | None = None,
) -> list[Result]:
    """Applies ``fn`` to every part and returns the results in the order of the parts.

    On the cluster a part whose worker dies runs again elsewhere, so ``fn`` must be safe to run
    twice; here it must be safe in several threads at once. The first error of ``fn`` is raised as
    it is and the parts not yet started are not run. However this ends, by Ctrl-C too, no part is
    at work any more when it does.

    Args:
        fn: a function that pickles.
        parts: values that pickle.
        run_on: ``"local"`` in this process, ``"ray"`` on the cluster, ``"auto"`` by what is
            known of the job and the cluster.
        bytes_hint: bytes to be read in all; 0 when not known.
        threads: how many parts run here at once; by default as many as there are cores. The job
            holds that many parts in memory.

    Raises:
        ConfigError: ``run_on`` is none of the three.
        EngineError: Ray could not be reached, or a worker died again and again.
    """
    place = choose_place(run_on, len(parts), bytes_hint).place
    results: dict[int, Result] = {}
    if not parts:
        return []
    if place == "ray":
        on_ray(fn, parts, results.__setitem__)
    else:
        here(fn, parts, results.__setitem__, threads)
    return [results[index] for index in range(len(parts))]


def here(
    fn: Callable[[Part], Result],
    parts: Iterable[Part],
    take: Callable[[int, Result], None],
    threads: int | None = None,
) -> None:
    """Applies ``fn`` to every part in threads of this process.

    Args:
        fn: as for ``run_parts``.
        parts: the next is asked for, by one thread at a time, when a thread is free.
        take: called in the threads, as results come, with the part's place and its result.
        threads: as for ``run_parts``.
    """
    from raypipe.engine.cluster import cores

    count = threads or cores()
    if isinstance(parts, Sized):
        count = min(count, len(parts))
    if count < 2:
        for index, part in enumerate(parts):
            take(index, fn(part))
        return
    numbers = _Shared(enumerate(parts))

    def work() -> None:
        # Each takes the next part, so that when one fails all before it were started: the error
        # raised is that of the first part that has one, as if they had run one by one.
        for index, part in numbers:
            try:
                take(index, fn(part))
            except BaseException as error:
                failed[index] = error
                raise

    failed: dict[int, BaseException] = {}
    pool = ThreadPoolExecutor(count, thread_name_prefix="raypipe-part")
    futures: list[Future[None]] = [pool.submit(work) for _ in range(count)]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:  # on Ctrl-C too: nobody takes another part, and those at work come to their end
        numbers.stop()
        pool.shutdown(wait=True)
    if failed:
        raise failed[min(failed)]
    for future in futures:
        future.result()  # what gives the parts may have failed, too


class _Shared(Generic[Part]):
    """One iterator for several threads, until it is stopped."""

    def __init__(self, source: Iterator[Part]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._stopped = False

    def __iter__(self) -> _Shared[Part]:
        return self

    def __next__(self) -> Part:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._source)

    def stop(self) -> None:
        """Nobody gets another one."""
        self._stopped = True


def on_ray(
    fn: Callable[[Part], Result], parts: Sequence[Part], take: Callable[[int, Result], None]
) -> None:
    """Applies ``fn`` to every part on the cluster.

    Args:
        fn: as for ``run_parts``.
        parts: as for ``run_parts``.
        take: called here, as results come, with the part's place and its result.

    Raises:
        EngineError: as ``run_parts``.
    """
    import ray
    from ray import cloudpickle
    from ray.exceptions import RayError

    from raypipe.engine.cluster import ensure_ray

    ensure_ray()
    packed: list[Any] = []
    for part in parts:
        data = cloudpickle.dumps(part)
        packed.append(data if len(data) < _LARGE else ray.put(data))
    work = _Work(ray.put(cloudpickle.dumps(fn)), ray.put(packed))
    try:
        with contextlib.closing(_executed(work, len(parts))) as batches:
            for row in (row for batch in batches for row in batch.to_pylist()):
                done, value = cloudpickle.loads(row["result"])
                if not done:
                    raise value
                take(int(row["id"]), value)
    except RayError as error:
        raise EngineError(
            "a part of the job could not be run on the cluster",
            f"{type(error).__name__}: {error}",
            "Look for workers killed for memory in the logs of Ray.",
        ) from error


class _Work:
    """What a task does: the parts whose numbers it gets. An error is a result too, so that it
    arrives as it is.
    """

    def __init__(self, fn: Any, parts: Any) -> None:
        self.fn = fn
        self.parts = parts

    def __call__(self, batch: Any) -> dict[str, Any]:
        import ray
        from ray import cloudpickle

        told = []
        for index in batch["id"]:
            try:
                fn = cloudpickle.loads(ray.get(self.fn))
                data = ray.get(self.parts)[int(index)]
                part = cloudpickle.loads(data if isinstance(data, bytes) else ray.get(data))
                answer = (True, fn(part))
            except Exception as error:  # noqa: BLE001 - raised where the results are taken
                answer = (False, error)
            told.append(cloudpickle.dumps(answer))
        return {"id": batch["id"], "result": told}


def _executed(work: _Work, count: int) -> Generator[Any, None, None]:
    """The results of all parts as Arrow tables, as they come; on the way out nothing runs on."""
    import ray

    # One block a part, and nothing that would cut or join blocks: else a part waits for another.
    numbers = ray.data.range(count, override_num_blocks=count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray names no other way to say it
        dataset = numbers.map_batches(
            _as_function(work), batch_size=None, batch_format="numpy", max_retries=_RETRIES
        )
    context = dataset.context
    context.enable_progress_bars = context.enable_progress_bars and sys.stderr.isatty()
    context.print_on_execution_start = False
    executor = dataset._create_executor()
    running: list[Any] = []
    try:
        with _quiet():
            bundles = dataset._build_bundle_iterator(executor)
            running = _noting(executor)
            for bundle in bundles:
                yield from ray.get(list(bundle.block_refs))
    except BaseException:  # Ctrl-C: the caller will clean up, so nobody may write any more
        executor.shutdown(force=False)
        _await_end(running)
        raise


def _as_function(work: _Work) -> Callable[[Any], Any]:
    """Ray Data takes an object that can be called for the class of an actor."""

    def run(batch: Any) -> Any:
        return work(batch)

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """In a terminal a bar tells what goes on; elsewhere Ray Data says nothing but warnings."""
    if sys.stderr.isatty() or os.environ.get("RAYPIPE_DEBUG"):
        yield
        return
    theirs = logging.getLogger("ray.data")
    with _lock:  # of jobs at once the first to come finds the level that the last leaves
        _levels.append(_levels[0] if _levels else theirs.level)
        theirs.setLevel(logging.WARNING)
    try:
        yield
    finally:
        with _lock:
            before = _levels.pop()
            if not _levels:
                theirs.setLevel(before)


def _noting(executor: Any) -> list[Any]:
    """A list that will hold the tasks that the executor asks to end when it stops.

    It asks once its scheduling has stopped, so that no task comes after; then it forgets them.
    """
    running: list[Any] = []

    def note(op: Any) -> None:
        cancel = op._cancel_active_tasks

        def noted(force: bool) -> None:
            running.extend(task.get_waitable() for task in op.get_active_tasks())
            cancel(force=False)

        op._cancel_active_tasks = noted

    for op in executor._topology:
        note(op)
    return running


def _await_end(running: Sequence[Any]) -> None:
    """Returns once no part is at work any more: what it left can then be cleaned away."""
    import ray

    ends = {task.completed(): task for task in running}
    for force in (False, True):
        if force:
            for task in ends.values():
                ray.cancel(task, force=True)
        if ends:
            done, _ = ray.wait(list(ends), num_returns=len(ends), timeout=_STOP_S)
            for ref in done:
                del ends[ref]
