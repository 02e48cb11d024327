"""A run's line while it grows: rounds, the figure that counts, and when it will be done."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from raypipe.core.errors import RaypipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raypipe.engine.progress import Line
    from raypipe.training.checkpoints import Checkpoints
    from raypipe.training.state import State

_logger = logging.getLogger(__name__)
_EVERY_S = 0.25
_LOOK_S = 2.0
_LEAVE_S = 1.0  # a look may take minutes where storage fails; the run does not wait for it


def text(state: State, rounds: int, metric: str, seconds: float, grown: int) -> str:
    """What the line says.

    Args:
        state: the run now.
        rounds: how many there are to grow.
        metric: the figure to tell.
        seconds: since this attempt began to grow.
        grown: rounds that this attempt has grown.
    """
    said = [f"round {state.rounds} of {rounds}"]
    for data in ("valid", "train"):
        values = state.history.get(data, {}).get(metric)
        if values:
            said.append(f"{data} {metric} {values[-1]:.5g}")
            break
    said.append(f"{seconds:.0f} s")
    if grown:
        said[-1] += f", at most {seconds / grown * (rounds - state.rounds):.0f} s left"
    return " · ".join(said)


@dataclass(slots=True)
class Watch:
    """Tells a line of a run's states, a few times a second at most.

    Attributes:
        line: where it is drawn.
        rounds: how many there are to grow.
        metric: the figure to tell.
        clock: gives seconds.
    """

    line: Line
    rounds: int
    metric: str
    clock: Callable[[], float] = time.monotonic
    _began: tuple[float, int] | None = field(default=None, init=False)
    _told: float = field(default=0.0, init=False)

    def __call__(self, state: State) -> None:
        """Takes a state in."""
        if self.line.quiet:
            return
        now = self.clock()
        if self._began is None:
            self._began = (now, state.rounds)
        elif now - self._told < _EVERY_S:
            return
        self._told = now
        began, first = self._began
        grown = state.rounds - first
        self.line.say(text(state, self.rounds, self.metric, now - began, grown))


@contextlib.contextmanager
def watched(watch: Watch, checkpoints: Checkpoints) -> Iterator[None]:
    """Follows a run that grows elsewhere by its checkpoints, which costs its rounds nothing."""
    if watch.line.quiet:
        yield
        return
    seen = ""

    def look() -> Callable[[], None] | None:
        nonlocal seen
        names = checkpoints.names()
        if not names or names[-1] == seen:
            return None
        seen = names[-1]
        return partial(watch, checkpoints.read(seen))

    with looking(look, _LOOK_S):
        yield


@contextlib.contextmanager
def begins_logged(run_id: str, checkpoints: Checkpoints) -> Iterator[None]:
    """Tells the log from which round a run begins, and each time that it begins again.

    Where a lost worker is replaced, the driver hears of it here alone.
    """
    try:
        first = seen = len(checkpoints.begins())
    except (RaypipeError, OSError):  # a log must not end a run
        yield
        return
    lock = threading.Lock()

    def look() -> None:
        nonlocal seen
        with lock:
            found = checkpoints.begins()
            for number in range(seen, len(found)):
                level = logging.INFO if number == first else logging.WARNING
                _logger.log(level, begin_text(run_id, found[number], again=number > first))
            seen = max(seen, len(found))

    with looking(look, _LOOK_S):
        yield
    with contextlib.suppress(RaypipeError, OSError):
        look()


def begin_text(run_id: str, rounds: int, *, again: bool) -> str:
    """What the log says when rounds begin to grow.

    Args:
        run_id: the run.
        rounds: those it has.
        again: whether they grew in this fit before.
    """
    went = f"resumed at round {rounds}" if rounds else "begins at round 0"
    return f"run {run_id} was broken off, and {went}" if again else f"run {run_id} {went}"


@contextlib.contextmanager
def looking(look: Callable[[], Callable[[], None] | None], every: float) -> Iterator[None]:
    """Looks again and again beside a block, which does not wait for a look.

    Args:
        look: reads what there is, and gives what tells of it, or None; it may fail.
        every: seconds between two looks.
    """
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(every):
            with contextlib.suppress(RaypipeError, OSError):  # a line must not end a run
                tell = look()
                if tell is not None and not stop.is_set():
                    tell()

    thread = threading.Thread(target=follow, name="raypipe-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_LEAVE_S)
