"""From figures to coordinates: linear and logarithmic scales, and the ticks a reader expects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Linear:
    """Maps [low, high] onto [start, end]; a domain without width maps to the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a value."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Log:
    """Maps [low, high], both above zero, onto [start, end] by logarithm; clamps from below."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a value."""
        line = Linear(math.log(self.low), math.log(self.high), self.start, self.end)
        return line(math.log(max(value, self.low)))


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values whose first is at or below `low` and last at or above `high`.

    The step is 1, 2 or 5 times a power of ten. The first and the last tick are the nice domain.
    """
    if high <= low:
        # A domain without width gets some, in proportion to its size.
        reach = abs(low) * 0.05 or 0.5
        low, high = low - reach, high + reach
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_label(value: float, step: float) -> str:
    """The tick with as many decimals as its step needs, thousands grouped."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{value:,.{decimals}f}"


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Values 1, 2, 5 times powers of ten that enclose [low, high]; only powers when too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
    below = [v for v in every if v <= low * (1 + 1e-9)]
    above = [v for v in every if v >= high * (1 - 1e-9)]
    kept = [v for v in every if below[-1] <= v <= above[0]]
    if len(kept) == 1:
        kept = [kept[0], kept[0] * 2]
    if len(kept) > most:
        kept = [10.0**e for e in range(first, last + 1)]
    return kept


def date_ticks(first: date, last: date, most: int) -> list[tuple[date, str]]:
    """At most about `most` dates with labels: first days of months, or days when it is short.

    The first label, and each January, carries the year.
    """
    months = _months(first, last)
    if len(months) >= 3:
        step = next(s for s in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if len(months) / s <= most)
        months = [one for one in months if (one.month - 1 + 12 * one.year) % step == 0] or months[
            :1
        ]
        years = {one.year: one for one in reversed(months)}
        return [
            (one, f"{one:%b} {one.year}" if years[one.year] == one else f"{one:%b}")
            for one in months
        ]
    days = (last - first).days
    step = max(7, 7 * math.ceil(days / 7 / max(most, 1)))
    stops = [first + timedelta(days=i) for i in range(0, days + 1, step)]
    return [
        (one, one.isoformat() if i == 0 else f"{one.day} {one:%b}") for i, one in enumerate(stops)
    ]


def _months(first: date, last: date) -> list[date]:
    found = []
    year, month = first.year, first.month
    while (start := date(year, month, 1)) <= last:
        if start >= first:
            found.append(start)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found
