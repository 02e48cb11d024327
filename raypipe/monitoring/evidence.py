"""From the evidence of many series to one alert and the names of the guilty.

A mean of e-processes is an e-process, whatever the dependence between them. So with the mean over
m series at 1/false_alarm or above, an alert is false with probability at most ``false_alarm`` over
the whole epoch, by Ville's inequality. A series that may not raise now (its effect lies under the
floor) is put at 0 for this look: that can only lower the mean, so the bound stays, and a difference
that is certain but trivial cannot open the way for another column's noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING = -math.inf


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says at the end of one window.

    Args:
        log_e: natural logarithm of the mean evidence over all series that may raise.
        alarm: whether the mean reached the threshold.
        guilty: the series named, strongest first; empty without an alarm.
    """

    log_e: float
    alarm: bool
    guilty: tuple[str, ...]


def judge(log_e: Mapping[str, float], may_raise: Mapping[str, bool], false_alarm: float) -> Verdict:
    """The verdict over all series of a model.

    Args:
        log_e: log evidence by series, all that are watched.
        may_raise: by series, whether its effect is large enough now.
        false_alarm: the bound on the probability of a false alarm.
    """
    heard = {name: value if may_raise[name] else NOTHING for name, value in log_e.items()}
    mean = log_mean(list(heard.values()))
    alarm = mean >= -math.log(false_alarm)
    return Verdict(mean, alarm, name_guilty(heard, false_alarm) if alarm else ())


def log_mean(logs: list[float]) -> float:
    """Log of the mean of numbers given by their logs; minus infinity for none."""
    top = max(logs, default=NOTHING)
    if top == NOTHING:
        return NOTHING
    return top + math.log(math.fsum(math.exp(x - top) for x in logs) / len(logs))


def name_guilty(log_e: Mapping[str, float], share: float) -> tuple[str, ...]:
    """The series named by e-BH: the expected share of wrongly named ones is at most ``share``.

    e-BH (Wang and Ramdas 2022) names the k strongest for the largest k with
    e_(k) ≥ m / (k · share), and needs no assumption on dependence. The mean can
    reach the threshold when e-BH names none; then the strongest alone is named. Series at minus
    infinity are never named.
    """
    ranked = sorted(log_e, key=lambda name: (-log_e[name], name))
    size = math.log(len(ranked) / share) if ranked else 0.0
    enough = [k for k, name in enumerate(ranked, 1) if log_e[name] >= size - math.log(k)]
    named = ranked[: max(enough, default=1)]
    return tuple(name for name in named if log_e[name] > NOTHING)
