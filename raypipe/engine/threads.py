"""Threads that are waited for to their end also when Ctrl-C comes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Awaited(threading.Thread):
    """A daemon thread with an end of its own to wait for.

    A ``join`` that Ctrl-C breaks off marks the thread as stopped in Python 3.11 and 3.12, so that
    each later one returns at once while it runs.

    Args:
        work: what it does; it must not raise.
        name: the thread's.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._over = threading.Event()

    def run(self) -> None:
        """Works, and notes that it is over."""
        try:
            self._work()
        finally:
            self._over.set()

    @property
    def over(self) -> bool:
        """Whether a thread that was started has come to its end."""
        return self._over.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it is over, or for so long; whether it is."""
        return self._over.wait(seconds)
