"""The call into Ray Tune: warm actors, rows that are shared, reports each few rounds."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import warnings
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.search import BasicVariantGenerator, Searcher

from raypipe.core.errors import TrainingError
from raypipe.core.faults import wanted_faults
from raypipe.engine.folders import OwnedFolder
from raypipe.training.tuning.actor import ERROR, NUMBER, Rows, TrialActor, standing_of
from raypipe.training.tuning.trial import failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from raypipe.training.tuning.book import Book
    from raypipe.training.tuning.trial import Task

_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # trials are rows of the lake, not files
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial may end without a figure
    "RAY_AIR_NEW_OUTPUT": "0",  # which prints whatever it is told
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # which would stay in place after the search
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a lake may be named by a relative path
}


def run_ray(
    task: Task,
    rows: Rows,
    book: Book,
    *,
    scheduler: Any,
    domains: Mapping[str, Any],
    population: bool,
    workers: int,
    cpus: float,
    gpus: int,
    max_failures: int,
    storage: str | None,
) -> Any:
    """Runs the trials that the book has open on Ray Tune, to their end.

    Args:
        task: what all trials have in common.
        rows: where actors have their rows from.
        book: proposes and writes down.
        scheduler: of Ray Tune; it decides which trials stop.
        domains: what varies.
        population: whether all trials begin at once, as population based training needs.
        workers: trials at once; of a population, which pauses trials for others, as many run as
            there are CPUs for.
        cpus: logical CPUs of each trial.
        gpus: of each trial.
        max_failures: how often a trial whose process died begins again.
        storage: a folder that all nodes share, removed in the end; None on one machine.

    Returns:
        Ray Tune's ``ResultGrid``.

    Raises:
        LakeAccessError: a trial could not be written down; the same search goes on.
        TrainingError: the search was stopped; the same search goes on.
        KeyboardInterrupt: Ctrl-C; trials that ended are kept, and the same search goes on.
    """
    folder = OwnedFolder.create()
    teller = _Teller(book, list(domains), max_failures)
    resources = {"cpu": cpus} | ({"gpu": gpus} if gpus else {})
    made = tune.with_parameters(TrialActor, task=task, rows=rows, faults=wanted_faults())
    config: dict[str, Any] = {}
    search: Any = _Searching(book, workers)
    if population:
        first = [coming for _ in book.open if (coming := book.next()) is not None]
        points = [{NUMBER: number, **params} for number, params in first]
        search = BasicVariantGenerator(points_to_evaluate=points)
        config = {NUMBER: tune.choice(list(book.open)), **domains}
    try:
        # Left alone Ray Tune asks for one actor at a time, and drops it when a trial that ended
        # leaves its own: short trials would run one after another, and actors start all the while.
        pending = {} if population else {"TUNE_MAX_PENDING_TRIALS_PG": str(workers)}
        with _settings(pending), _interruptible() as interrupted:
            results = tune.Tuner(
                tune.with_resources(made, resources),
                param_space=config,
                tune_config=tune.TuneConfig(
                    scheduler=scheduler,
                    search_alg=search,
                    num_samples=len(book.open),
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="trials",
                    storage_path=storage or folder.path,
                    failure_config=tune.FailureConfig(max_failures=max_failures),
                    callbacks=[teller],
                    verbose=0,
                ),
            ).fit()
        if interrupted.is_set() and not book.whole:
            raise KeyboardInterrupt
    except Exception:
        if teller.error is not None:  # Ray Tune wraps what the lake raised
            raise teller.error from None
        raise
    finally:
        folder.remove()
        if storage is not None:
            shutil.rmtree(storage, ignore_errors=True)
    if teller.error is not None:
        raise teller.error
    if not book.whole:
        raise TrainingError(
            "the search was stopped",
            f"{len(book.ended)} trials have ended",
            "Those are kept: the same search goes on from there.",
        )
    return results


@contextlib.contextmanager
def _settings(more: Mapping[str, str]) -> Iterator[None]:
    settings = {**_SETTINGS, **more}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update({name: value for name, value in settings.items() if before[name] is None})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Ray's own, about itself
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Lets Ctrl-C end Ray Tune in order, which it does on SIGUSR1; a second one ends it at once.

    Ray Tune leaves its handlers in place when it is done. They are taken back here.
    """
    noted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(before):  # ignored, as in a shell's background: it stays so
        yield noted
        return
    user = signal.getsignal(signal.SIGUSR1)

    def note(number: int, frame: FrameType | None) -> None:
        if noted.is_set() or signal.getsignal(signal.SIGUSR1) in (user, signal.SIG_DFL):
            raise KeyboardInterrupt
        noted.set()
        signal.raise_signal(signal.SIGUSR1)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGUSR1, user if user is not None else signal.SIG_DFL)


class _Searching(Searcher):  # type: ignore[misc]
    """Gives Ray Tune the book's next trial, when there is room for it."""

    def __init__(self, book: Book, workers: int) -> None:
        super().__init__()
        self._book, self._workers = book, workers
        self._live: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """The next trial; None while as many run as may."""
        if len(self._live) >= self._workers:
            return None
        coming = self._book.next()
        if coming is None:
            return Searcher.FINISHED
        self._live.add(trial_id)
        number, params = coming
        return {NUMBER: number, **params}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """There is room again."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the lake has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class _Teller(tune.Callback):  # type: ignore[misc]
    """Tells the book of each trial that ends."""

    def __init__(self, book: Book, names: list[str], max_failures: int) -> None:
        self._book, self._names, self._max_failures = book, names, max_failures
        self._numbers: dict[str, int] = {}
        self.error: BaseException | None = None

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        """Notes its number: population based training copies settings, and the number with them."""
        self._numbers.setdefault(trial.trial_id, trial.config[NUMBER])

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        """It ended, whole or stopped, or failed in its own code."""
        number, params, last = self._number(trial), self._params(trial), trial.last_result
        if ERROR in last:
            before = standing_of(last["standing"])
            attempts = before.failures + _deaths(trial)
            self._end(failed(number, params, last[ERROR], 0.0, before.history, attempts))
            return
        standing = standing_of(last["standing"])
        standing.failures += _deaths(trial)
        self._end(standing.ended(number, params, stopped=not standing.whole))

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        """Its process died once too often, or could not start."""
        reason = f"its process failed {self._max_failures + 1} times: {_reason(trial)}"
        told = (trial.last_result or {}).get("standing")
        history = standing_of(told).history if told else ()
        number, params = self._number(trial), self._params(trial)
        self._end(failed(number, params, reason, 0.0, history, self._max_failures + 1))

    def _number(self, trial: Any) -> int:
        return self._numbers.get(trial.trial_id, int(trial.config[NUMBER]))

    def _params(self, trial: Any) -> dict[str, Any]:
        return {name: trial.config[name] for name in self._names}

    def _end(self, ended: Any) -> None:
        try:
            self._book.end(ended)
        except BaseException as error:
            self.error = error  # Ray Tune would wrap it
            raise


def _deaths(trial: Any) -> int:
    """How often a trial's process died."""
    return int(getattr(trial, "num_failures", 0))


def _reason(trial: Any) -> str:
    error = getattr(trial, "get_error", lambda: None)()
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
