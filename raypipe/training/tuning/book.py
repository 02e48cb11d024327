"""What a search knows while it runs: which trial comes next, which stops, what has ended."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raypipe.core.faults import fault_point
from raypipe.engine.progress import time_left

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.training.tuning.schedulers import Decider
    from raypipe.training.tuning.search import Mode, Proposals
    from raypipe.training.tuning.trials import Ended, Trials

_logger = logging.getLogger(__name__)


class Book:
    """One search; its methods may be called by several threads.

    Args:
        trials: where a trial is written down when it ends.
        known: those that were there before.
        again: those that failed before and are tried again, with the same settings.
        proposals: what the next trial gets.
        count: how many trials there are to be.
        metric: the figure's name, for the line.
        mode: whether small or large figures are good.
        say: shows how far the search is.
    """

    def __init__(
        self,
        *,
        trials: Trials,
        known: Sequence[Ended],
        proposals: Proposals,
        count: int,
        metric: str,
        mode: Mode,
        say: Callable[[str], None],
        again: Sequence[Ended] = (),
    ) -> None:
        self._trials, self._proposals = trials, proposals
        self._decider: Decider | None = None
        self._count, self._metric, self._mode, self._say = count, metric, mode, say
        self._ended = {one.number: one for one in known}
        self._kept = len(known)
        self._again = {one.number: one for one in again}
        self.open = [number for number in range(count) if number not in self._ended]
        self._coming = iter(self.open)
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._began, self._before = time.monotonic(), len(self._ended)
        for one in known:
            proposals.tell(one)
        self._tell()

    def decide_by(self, decider: Decider) -> None:
        """Asks this one which trials stop; without it something else decides."""
        before = {**self._ended, **self._again}
        decider.replay([before[number] for number in sorted(before)])
        self._decider = decider

    def __reduce__(self) -> tuple[Any, ...]:
        """Ray Tune keeps what it is given as a pickle of its own; this has no use for one."""
        return (_nothing, ())

    def __deepcopy__(self, memo: Any) -> Book:
        """There is one book of a search."""
        return self

    @property
    def ended(self) -> list[Ended]:
        """The trials that ended, by number."""
        with self._lock:
            return [self._ended[number] for number in sorted(self._ended)]

    @property
    def kept(self) -> int:
        """How many trials are written down."""
        return self._kept

    @property
    def whole(self) -> bool:
        """Whether all trials have ended."""
        return len(self._ended) >= self._count

    def next(self) -> tuple[int, dict[str, Any]] | None:
        """The number and the settings of the next trial; None when there is none."""
        with self._lock:
            number = next(self._coming, None)
            if number is None:
                return None
            if self._decider is not None:
                self._decider.begin(number)
            if number in self._again:
                return number, dict(self._again[number].params)
            return number, self._proposals.propose(number)

    def stops(self, number: int, rounds: int, figure: float) -> bool:
        """Whether a trial is to be stopped after a report."""
        with self._lock:
            return self._decider is not None and self._decider.stops(number, rounds, figure)

    def end(self, one: Ended) -> None:
        """Counts a trial that ended, and writes it down.

        Raises:
            LakeAccessError: the lake's storage failed.
        """
        self.keep(self.take(one))

    def take(self, one: Ended) -> Ended:
        """Counts a trial that ended: the next is proposed, and others stop, by it too.

        Returns:
            What is to be kept of it.
        """
        before = self._again.get(one.number)
        if before is not None:
            one = _joined(before, one)
        with self._lock:
            self._proposals.tell(one)
            if self._decider is not None and one.history and not one.failed:
                self._decider.end(one.number, *one.history[-1])
            self._ended[one.number] = one
            self._tell()
        return one

    def keep(self, one: Ended) -> None:
        """Writes down a trial that was taken; after this no process repeats it.

        Raises:
            LakeAccessError: the lake's storage failed.
        """
        before = self._again.get(one.number)
        fault_point("tuning:before-trial")
        with self._writing:
            self._trials.tell(one, 0 if before is None else before.attempts)
            self._kept += 1
        fault_point("tuning:after-trial")
        _logger.info("trial %d %s: %s=%s", one.number, one.status, self._metric, one.value)

    def _tell(self) -> None:
        done = len(self._ended)
        good = [one for one in self._ended.values() if not math.isnan(one.value)]
        parts = [f"tuning {done}/{self._count}"]
        if good:
            pick = min if self._mode == "min" else max
            best = pick(good, key=lambda one: one.value)
            parts.append(f"best {self._metric} {best.value:.6g} (trial {best.number})")
        now = done - self._before
        parts.append(time_left(now, self._count - self._before, time.monotonic() - self._began))
        self._say(" · ".join(part for part in parts if part))


def _joined(before: Ended, one: Ended) -> Ended:
    """A trial that was tried again, with its attempts of before."""
    history = max(before.history, one.history, key=len) if one.failed else one.history
    return replace(one, attempts=before.attempts + one.attempts, history=history)


def _nothing() -> None:
    return None
