"""Trials of several workers: each is a training of its own, which resumes by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError, RecipeError, ResourceError, TrainingError
from raypipe.training.tuning.space import with_settings
from raypipe.training.tuning.trial import Standing, failed

if TYPE_CHECKING:
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
) -> None:
    """Runs the trials that the book has open one by one, each as ``Trainer.fit`` runs.

    Raises:
        ResourceError: the cluster can never hold the workers.
        LakeAccessError: the lake's storage failed; the same search goes on.
    """
    while (coming := book.next()) is not None:
        number, params = coming
        began = time.monotonic()
        try:
            made = trainer.with_learner(with_settings(trainer.learner, params))
            run = made.fit(train, valid, tags={"tuning": tuning_id, "trial": number})
        except ResourceError:
            raise
        except (ConfigError, RecipeError, TrainingError) as error:
            book.end(failed(number, params, error, time.monotonic() - began))
            continue
        now = Standing(seconds=time.monotonic() - began, whole=True)
        for figure in run.history["valid"][metric]:
            now.take(figure, mode)
        now.history.append((now.rounds, now.best))
        book.end(now.ended(number, params, stopped=False))
