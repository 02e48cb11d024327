"""A trial that begins again when it fails, a few times, and says nothing twice."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import may_pass
from raypipe.training.tuning.trial import Interrupted, Standing, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from raypipe.training.tuning.trial import Trial
    from raypipe.training.tuning.trials import Ended

_logger = logging.getLogger(__name__)


class Attempts:
    """A trial, begun as often as it may fail.

    An attempt grows in silence to where the one before it was; so a scheduler, which asks for
    figures by round, hears of each round once.

    Args:
        begin: makes the trial.
        max_failures: how often it may begin again.
    """

    def __init__(self, begin: Callable[[], Trial], max_failures: int) -> None:
        self._begin, self._max_failures = begin, max_failures
        self._trial: Trial | None = None
        self._began = time.monotonic()
        self.failures = 0
        self.history: list[tuple[int, float]] = []

    @property
    def trial(self) -> Trial:
        """The attempt that is under way, begun now if there is none."""
        if self._trial is None:
            self._trial = self._begin()
        return self._trial

    def load(self, model: bytes, standing: Standing) -> None:
        """Goes on from where another trial stands."""
        self.trial.load(model, standing)
        self.history = list(standing.history)

    def advance(self, going: Callable[[], bool] = lambda: True) -> Standing:
        """Grows to the next report.

        Raises:
            Interrupted: ``going`` said so before a round.
            Exception: the last attempt's error, when there is none left, or none can help.
        """
        while True:
            try:
                now = self._further(going)
            except Interrupted:
                raise
            except Exception as error:
                self._trial, self.failures = None, self.failures + 1
                if self.failures > self._max_failures or not may_pass(error):
                    raise
                _logger.warning("a trial failed and begins again: %s", error)
            else:
                now.failures = self.failures
                self.history = list(now.history)
                return now

    def _further(self, going: Callable[[], bool]) -> Standing:
        reported = self.history[-1][0] if self.history else 0
        while True:
            now = self.trial.advance(going)
            if now.whole or now.rounds > reported:
                return now

    def failed(self, number: int, params: Mapping[str, Any], error: object) -> Ended:
        """The trial as it is written down after its last error, with what it had reported."""
        seconds = time.monotonic() - self._began
        return failed(number, params, error, seconds, self.history, self.failures)
