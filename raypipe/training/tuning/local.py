"""A search in this process: a thread for each trial that runs, and one copy of the rows."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from raypipe.engine.cluster import cores
from raypipe.engine.threads import Awaited
from raypipe.training.learner import Shared
from raypipe.training.tuning.attempts import Attempts
from raypipe.training.tuning.trial import Interrupted, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from raypipe.training.learner import Build
    from raypipe.training.tuning.book import Book
    from raypipe.training.tuning.prepared import Sets
    from raypipe.training.tuning.trial import Task
    from raypipe.training.tuning.trials import Ended


def run_local(task: Task, sets: Sets, folder: str, book: Book, workers: int) -> None:
    """Runs the trials that the book has open, some at once, to their end.

    Args:
        task: what all trials have in common.
        sets: the rows.
        folder: on a local disk, for rows that do not fit into memory.
        book: proposes, decides and writes down.
        workers: trials at once.

    Raises:
        LakeAccessError: a trial could not be written down; the same search goes on.
        KeyboardInterrupt: Ctrl-C; trials that ended are kept, and the same search goes on.
    """
    shared = Shared(threads=max(task.threads, min(task.threads * workers, cores())))
    build, stop = task.build(shared, folder), threading.Event()
    errors: list[BaseException] = []
    writes = _Writes(book, workers)

    def work() -> None:
        try:
            while not stop.is_set() and (coming := book.next()) is not None:
                writes.add(book.take(_grown(task, sets, build, book, *coming, stop)))
        except Interrupted:
            return
        except BaseException as error:  # noqa: BLE001 - raised where the threads are awaited
            errors.append(error)
            stop.set()

    threads: list[Awaited] = []
    try:
        for number in range(min(workers, len(book.open))):
            threads.append(Awaited(work, f"raypipe-trial-{number}"))
            threads[-1].start()
        for thread in threads:
            while not thread.wait(0.1):
                pass
    except BaseException:
        stop.set()
        for thread in threads:
            if thread.ident is not None:  # it was started
                thread.wait()
        writes.close()
        raise
    writes.close()
    if errors:
        raise errors[0]


class _Writes:
    """Writes trials down, one after the other, while others grow: a write waits for the disk.

    Args:
        book: has the trials.
        most: how many may wait to be written; whoever adds another one waits, too.
    """

    def __init__(self, book: Book, most: int) -> None:
        self._book, self._most = book, most
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="raypipe-trials")
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def add(self, one: Ended) -> None:
        """Writes a trial down soon.

        Raises:
            LakeAccessError: one could not be written.
        """
        self._waiting.append(self._pool.submit(self._keep, one))
        while len(self._waiting) > self._most:
            self._first()

    def close(self) -> None:
        """Returns when all are written, after a Ctrl-C too.

        Raises:
            LakeAccessError: one could not be written; none after it is.
        """
        try:
            while self._waiting:
                self._first()
        finally:
            self._pool.shutdown()

    def _keep(self, one: Ended) -> None:
        """A search that goes on proposes a lost trial again, from those before it: no later one
        may be known by then.
        """
        if self._failed:
            return
        try:
            self._book.keep(one)
        except BaseException:
            self._failed = True
            raise

    def _first(self) -> None:
        try:
            first = self._waiting.popleft()
        except IndexError:  # another thread waits for it
            return
        first.result()


def _grown(
    task: Task,
    sets: Sets,
    build: Build,
    book: Book,
    number: int,
    params: Mapping[str, Any],
    stop: threading.Event,
) -> Ended:
    """A trial from its first round to its end, its stop or its last error."""
    trial = Attempts(lambda: Trial(task, sets, build, params), task.max_failures)
    try:
        while True:
            now = trial.advance(lambda: not stop.is_set())
            if now.whole:
                return now.ended(number, params, stopped=False)
            if book.stops(number, now.rounds, now.best):
                return now.ended(number, params, stopped=True)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 - a trial that fails is a row; the search goes on
        return trial.failed(number, params, error)
