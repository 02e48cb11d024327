"""What Ctrl-C says: that the work is kept, and the call that goes on with it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from raypipe.core.errors import RaypipeError
from raypipe.training.checkpoints import Checkpoints
from raypipe.training.stored import is_finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raypipe.lake import Lake
    from raypipe.training.learner import Learner


@contextlib.contextmanager
def told_kept(text: Callable[[], str]) -> Iterator[None]:
    """Adds a note to a ``KeyboardInterrupt`` that leaves the block, which goes on as it is.

    Python writes it below the traceback, in a terminal and in a notebook alike.

    Args:
        text: looks at what is kept, once it is; where that fails there is no note.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        with contextlib.suppress(RaypipeError, OSError):  # what is told must not hide the Ctrl-C
            error.add_note(text())
        raise


def run_note(lake: Lake, run_id: str, learner: Learner) -> str:
    """What is kept of a run, and the call that goes on.

    Args:
        lake: where the run is.
        run_id: the run.
        learner: what it grows.
    """
    call = f'the same fit, or rp.Trainer.resume(lake, "{run_id}"),'
    if is_finished(lake, run_id):
        return f"Run {run_id} is finished and kept: {call} reads it back."
    if learner.takes.loop:  # only Ray Train knows its checkpoints
        return f"Run {run_id} is kept with what its loop has reported: {call} goes on."
    newest = max(Checkpoints(lake, run_id).names(), default=None)
    if newest is None and not learner.takes.resumes:
        return f"Of run {run_id} no round is kept, since it cannot go on: {call} begins it again."
    if newest is None:
        return f"Run {run_id} has no round yet: {call} begins it again."
    rounds = int(newest.rpartition("/")[2])
    return f"Run {run_id} is kept at round {rounds} of {learner.rounds}: {call} goes on from there."


def search_note(tuning_id: str, kept: int, count: int) -> str:
    """What is kept of a search, and the call that goes on.

    Args:
        tuning_id: the search.
        kept: trials that are written down.
        count: how many there are to be.
    """
    return (
        f"Search {tuning_id} is kept with {kept} of {count} trials: "
        "the same rp.Tuner(…).fit(train, valid) goes on with the others."
    )
