"""Trials of several workers: each is a training of its own, which resumes by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from raypipe.core.errors import EngineError, LakeError, ResourceError, may_pass
from raypipe.training.tuning.space import with_settings
from raypipe.training.tuning.trial import Standing, failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.lake import Snapshot
    from raypipe.training.trainer import Trainer
    from raypipe.training.tuning.book import Book
    from raypipe.training.tuning.search import Mode


def run_whole(
    trainer: Trainer,
    train: Snapshot,
    valid: Snapshot,
    book: Book,
    *,
    tuning_id: str,
    metric: str,
    mode: Mode,
    every: int,
    max_failures: int,
) -> None:
    """Runs the trials that the book has open one by one, each as ``Trainer.fit`` runs.

    Args:
        trainer: makes the trainings.
        train: the rows to learn from.
        valid: the rows to judge on.
        book: proposes and writes down.
        tuning_id: names the search; a tag of each run.
        metric: the figure.
        mode: whether small or large figures are good.
        every: rounds between the figures that are written down.
        max_failures: how often a training that failed goes on once more.

    Raises:
        ResourceError: the cluster can never hold the workers.
        EngineError: Ray cannot be started or reached.
        LakeAccessError: the lake's storage failed; the same search goes on.
    """
    while (coming := book.next()) is not None:
        number, params = coming
        began, failures = time.monotonic(), 0
        run = None
        while run is None:
            try:
                made = trainer.with_learner(with_settings(trainer.learner, params))
                run = made.fit(train, valid, tags={"tuning": tuning_id, "trial": number})
            except (ResourceError, EngineError, LakeError):  # no fault of this trial
                raise
            except Exception as error:  # noqa: BLE001 - a trial that fails is a row
                failures += 1
                if failures > max_failures or not may_pass(error):
                    seconds = time.monotonic() - began
                    book.end(failed(number, params, error, seconds, attempts=failures))
                    break
        else:
            now = Standing(seconds=time.monotonic() - began, whole=True, failures=failures)
            _take(now, run.history["valid"][metric], mode, every)
            book.end(now.ended(number, params, stopped=False))


def _take(now: Standing, figures: Sequence[float], mode: Mode, every: int) -> None:
    """Counts the rounds of a training, and what it would have reported."""
    for figure in figures:
        now.take(figure, mode)
        if now.rounds % every == 0 or now.rounds == len(figures):
            now.history.append((now.rounds, now.best))
