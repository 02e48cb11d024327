"""Checkpoints of a run in the lake: written whole beside the rounds, the last two kept.

Beside them lies a file for each time that the run began, or began again, with its round.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from raypipe.core.errors import IntegrityError, LakeAccessError
from raypipe.core.faults import fault_point
from raypipe.training.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.lake import Lake

Value = TypeVar("Value")
_logger = logging.getLogger(__name__)
_KEPT = 2
PATIENCE = timedelta(minutes=5)
"""How long storage that fails is waited for."""
_LASTING = {
    errno.EACCES,
    errno.EFBIG,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def patient(work: Callable[..., Value], *args: Any) -> Value:
    """What ``work`` gives for the arguments, tried again with growing pauses while storage fails.

    Raises:
        LakeAccessError: it failed for longer than ``PATIENCE``, or in a way that does not pass by
            itself: access is denied, the folder is read-only, a file would be too large.
        FileNotFoundError: what was asked for is not there.
    """
    until, pause = time.monotonic() + PATIENCE.total_seconds(), 0.2
    while True:
        try:
            return work(*args)
        except FileNotFoundError:
            raise
        except (LakeAccessError, OSError) as error:
            told = error if isinstance(error, LakeAccessError) else None
            number = getattr(told.__cause__ if told else error, "errno", None)
            lasting = number in _LASTING or (told is not None and "denied" in told.what)
            if lasting or time.monotonic() > until:
                if told:
                    raise
                act = "Mend it and call again, which goes on."
                raise LakeAccessError("the lake's storage fails", str(error), act) from error
            _logger.warning("storage fails, waiting for it: %s", error)
        time.sleep(pause)
        pause = min(pause * 2, 5.0)


class Checkpoints:
    """The states of one run that lie in the lake.

    Args:
        lake: where the run is.
        run_id: the run.
    """

    def __init__(self, lake: Lake, run_id: str) -> None:
        self._files = lake.files
        self._run_id = run_id
        self._folder = f"runs/{run_id}/checkpoints"
        self._begins = f"runs/{run_id}/begins"

    def names(self) -> list[str]:
        """The files that are there, the oldest first."""
        return sorted(self._files.list(self._folder))

    def latest(self) -> State:
        """The newest state that is whole, or the state before the first round.

        One that is cut short or changed is told in the log, and removed.
        """
        for name in reversed(patient(self.names)):
            try:
                return State.from_bytes(patient(self._files.get, name), self._run_id)
            except (IntegrityError, ValueError, KeyError, TypeError) as error:
                _logger.warning("checkpoint %s is not used: %s", name, error)
                patient(self._files.delete, name)
            except FileNotFoundError:
                continue  # an attempt beside this one has moved on
        return State()

    def read(self, name: str) -> State:
        """The state of a file.

        Raises:
            IntegrityError: it is cut short or changed.
            FileNotFoundError: it is gone.
        """
        return State.from_bytes(self._files.get(name), self._run_id)

    def save(self, state: State) -> None:
        """Writes a state and removes all but the last two up to it."""
        name = f"{self._folder}/{state.rounds:08d}"
        data = state.to_bytes(self._run_id)
        patient(self._files.put, name, data)
        fault_point("training:after-checkpoint")
        older = [one for one in patient(self.names) if one <= name]
        for one in older[:-_KEPT]:
            patient(self._files.delete, one)

    def begin(self, resumes: bool = True) -> State:
        """The state that the rounds begin from now, which is written down.

        Args:
            resumes: whether the learner can go on from a state that is not the last.
        """
        state = self.latest()
        if not (resumes or state.done):
            state = State()
        self.note_begin(state.rounds)
        return state

    def note_begin(self, rounds: int) -> None:
        """Writes down that rounds begin to grow from here."""
        number = len(patient(self._files.list, self._begins))
        patient(self._files.put, f"{self._begins}/{number:06d}-{rounds:08d}", str(rounds).encode())

    def begins(self) -> list[int]:
        """The rounds from which the run began to grow, each time that it did."""
        names = sorted(self._files.list(self._begins))
        return [int(name.rpartition("-")[2]) for name in names]

    def clear(self) -> None:
        """Removes all of them."""
        self._files.delete(self._begins)
        self._files.delete(self._folder)


class Saver:
    """Saves states beside the rounds, which do not wait for it; the newest offered wins."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._wake = threading.Condition()
        self._next: State | None = None
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="raypipe-saver", daemon=True)
        self._thread.start()

    def offer(self, state: State) -> None:
        """Hands over a state to be saved soon, unless a newer one comes before."""
        with self._wake:
            self._next = state
            self._wake.notify()

    def close(self) -> None:
        """Waits until what was offered is saved.

        Raises:
            LakeAccessError: storage failed for longer than ``PATIENCE``.
        """
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._next is not None or self._closed)
                state, self._next = self._next, None
            if state is None:
                return
            try:
                self._checkpoints.save(state)
                self._error = None
            except Exception as error:  # noqa: BLE001 - raised by close, unless a later one is saved
                self._error = error
