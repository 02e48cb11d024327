"""One trial: a session that grows to its next report, and what came of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.faults import fault_point
from raypipe.training.learner import Build, Shared
from raypipe.training.stopping import Best
from raypipe.training.tuning.space import with_settings
from raypipe.training.tuning.trials import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from raypipe.training.learner import Learner
    from raypipe.training.stopping import EarlyStopping
    from raypipe.training.survey import Labels
    from raypipe.training.tuning.prepared import Sets
    from raypipe.training.tuning.search import Mode

_SHOWN = 500


class Interrupted(Exception):  # noqa: N818 - it is no error: someone asked for it
    """The search was asked to end while a trial grew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What all trials of a search have in common; pickles.

    Attributes:
        learner: what the settings of a trial are put into.
        metric: the figure on the validation rows.
        mode: whether small or large figures are good.
        stopping: when a trial that gets no better ends.
        every: rounds between reports.
        seed: of what is sampled.
        threads: of a trial.
        features: names of the features, in order.
        categorical: those that are codes.
        labels: what is known of the labels.
        budget: bytes that a trial may take for its rows.
        max_failures: how often a trial that failed begins again.
    """

    learner: Learner
    metric: str
    mode: Mode
    stopping: EarlyStopping | None
    every: int
    seed: int
    threads: int
    features: Sequence[str]
    categorical: Sequence[str]
    labels: Labels
    budget: int | None = None
    max_failures: int = 0

    def build(self, shared: Shared, folder: str) -> Build:
        """What sessions of one process are built of."""
        return Build(
            seed=self.seed,
            threads=self.threads,
            features=self.features,
            categorical=self.categorical,
            labels=self.labels,
            budget=self.budget,
            folder=folder,
            shared=shared,
            only_valid=True,
        )


@dataclass(slots=True)
class Standing:
    """Where a trial stands; plain values.

    Attributes:
        rounds: done so far.
        best: the best figure so far; NaN before the first.
        best_round: rounds that gave it.
        history: rounds and best figure at each report.
        early: what early stopping knows.
        seconds: of work.
        whole: whether there is no round to come.
        failures: attempts that failed before.
    """

    rounds: int = 0
    best: float = math.nan
    best_round: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    early: Best = field(default_factory=Best)
    seconds: float = 0.0
    whole: bool = False
    failures: int = 0

    def take(self, score: float, mode: Mode) -> None:
        """Counts a round and its figure."""
        self.rounds += 1
        better = score < self.best if mode == "min" else score > self.best
        if better or (math.isnan(self.best) and not math.isnan(score)):
            self.best, self.best_round = score, self.rounds

    def ended(self, number: int, params: Mapping[str, Any], *, stopped: bool) -> Ended:
        """The trial as it is written down."""
        return Ended(
            number=number,
            params=dict(params),
            value=self.best,
            rounds=self.rounds,
            stopped=stopped,
            failed=math.isnan(self.best),
            best_round=self.best_round,
            seconds=round(self.seconds, 4),
            history=tuple(self.history),
            attempts=self.failures + 1,
            error="the figure was NaN in every round" if math.isnan(self.best) else None,
        )


def failed(
    number: int,
    params: Mapping[str, Any],
    error: object,
    seconds: float = 0.0,
    history: Sequence[tuple[int, float]] = (),
    attempts: int = 1,
) -> Ended:
    """A trial that ended in an error. What it had reported stays, since schedulers saw it."""
    return Ended(
        number=number,
        params=dict(params),
        value=math.nan,
        rounds=history[-1][0] if history else 0,
        failed=True,
        best_round=0,
        seconds=round(seconds, 4),
        history=tuple(history),
        error=told_error(error),
        attempts=max(1, attempts),
    )


def told_error(error: object) -> str:
    """An error as it is written down."""
    told = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    return told[:_SHOWN]


class Trial:
    """A session with settings of its own.

    Args:
        task: what all trials have in common.
        sets: the rows.
        build: what sessions of this process are built of.
        params: the settings.
    """

    def __init__(self, task: Task, sets: Sets, build: Build, params: Mapping[str, Any]) -> None:
        began = time.monotonic()
        self._task = task
        self._learner = with_settings(task.learner, params)
        self._session = self._learner.build(sets.train, sets.valid, build)
        self.standing = Standing(seconds=time.monotonic() - began)

    def advance(self, going: Callable[[], bool] = lambda: True) -> Standing:
        """Grows to the next report.

        Raises:
            Interrupted: ``going`` said so before a round.
        """
        began, now, task = time.monotonic(), self.standing, self._task
        until = min((now.rounds // task.every + 1) * task.every, self._learner.rounds)
        while now.rounds < until and not now.early.stopped:
            if not going():
                raise Interrupted
            figures = self._session.grow(now.rounds)["valid"]
            now.take(figures[task.metric], task.mode)
            if task.stopping is not None:
                metric = task.stopping.metric or self._learner.metrics[0]
                now.early = now.early.after(figures[metric], now.rounds - 1, task.stopping, metric)
            fault_point("tuning:round")
        now.whole = now.rounds >= self._learner.rounds or now.early.stopped
        now.history.append((now.rounds, now.best))
        now.seconds += time.monotonic() - began
        return now

    def save(self) -> bytes:
        """The model so far."""
        model: bytes = self._session.save()
        return model

    def load(self, model: bytes, standing: Standing) -> None:
        """Goes on from where another trial stands."""
        if model:
            self._session.load(model)
        self.standing = standing
