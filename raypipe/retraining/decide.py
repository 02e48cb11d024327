"""When an alert starts a retraining: a pure decision over what was done before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

Ending = Literal["promoted", "refused", "unchanged", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How often retraining may happen.

    Attributes:
        cooldown: at least this much time between the starts of two retrainings.
        settle: at least this much time between the alert and the start, so that labels of the
            changed rows have arrived and the candidate can learn from them.
        budget: retrainings in all; ``None`` for no limit.

    Raises:
        ConfigError: a duration is negative or the budget is less than 1.
    """

    cooldown: timedelta = timedelta(days=28)
    settle: timedelta = timedelta(0)
    budget: int | None = None

    def __post_init__(self) -> None:
        for name in ("cooldown", "settle"):
            if getattr(self, name) < timedelta(0):
                raise ConfigError(f"{name} must be >= 0", getattr(self, name), field=name)
        if self.budget is not None and self.budget < 1:
            raise ConfigError("budget must be >= 1", self.budget, field="budget")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A retraining as the lake knows it.

    Attributes:
        cause: the id of the alert that started it.
        started: the time at which it was decided.
        ending: how it ended; ``None`` while it is under way (or was killed).
    """

    cause: str
    started: datetime
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Begin, or go on with an attempt of the same cause; ``at`` is when it was first decided."""

    at: datetime
    again: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now; the reason, in words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """This cause has had its retraining."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Stale:
    """The version that the alert is about is not in service any more."""


def decide(
    cause: str,
    raised: datetime,
    now: datetime,
    attempts: Sequence[Attempt],
    policy: Policy,
    *,
    in_service: bool = True,
) -> Start | Wait | Done | Stale:
    """What to do about an alert.

    One cause starts one retraining, however often it is offered; an attempt that was cut short goes
    on, with the time at which it was first decided.

    Args:
        cause: the alert's id.
        raised: the time up to which the alert had seen, the end of its window.
        now: the time of the decision.
        attempts: all retrainings so far, oldest first.
        policy: cool-down and budget.
        in_service: whether the version that the alert is about is in service.
    """
    for attempt in attempts:
        if attempt.cause == cause:
            return Done(attempt.ending) if attempt.ending else Start(attempt.started, again=True)
    if not in_service:
        return Stale()
    if any(attempt.ending is None for attempt in attempts):
        return Wait("another retraining is under way")
    if policy.budget is not None and len(attempts) >= policy.budget:
        return Wait(f"the budget of {policy.budget} retrainings is spent")
    if now < raised + policy.settle:
        return Wait(f"waiting for labels until {raised + policy.settle:%Y-%m-%d %H:%M}")
    if attempts:
        ready = attempts[-1].started + policy.cooldown
        if now < ready:
            return Wait(f"cooling down until {ready:%Y-%m-%d %H:%M}")
    return Start(now, again=False)
