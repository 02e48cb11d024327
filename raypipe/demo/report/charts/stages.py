"""Where the time went: seconds and rows by stage, in the order they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raypipe.demo.report.figures import count, megabytes, seconds
from raypipe.demo.report.scales import Linear
from raypipe.demo.report.svg import label, nothing, picture, rect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.demo.report.markup import Markup
    from raypipe.demo.report.model import Stage

TITLE = "Time and rows by stage"


def stage_bars(stages: Sequence[Stage], *, key: str, width: float) -> Markup:
    """Two bars for each stage, time and rows, each on its own linear scale from zero."""
    if not stages:
        return nothing(key, TITLE, "No stage was timed.", width)
    most_s = max(one.seconds for one in stages)
    most_rows = max(one.rows or 0 for one in stages)
    draw = _narrow if width < 600 else _wide
    parts, height = draw(stages, max(most_s, 1e-9), max(most_rows, 1), width)
    longest = max(stages, key=lambda one: one.seconds)
    total = sum(one.seconds for one in stages)
    words = (
        f"{len(stages)} stages took {seconds(total)} together; the longest was {longest.name}, "
        f"{seconds(longest.seconds)}. The figures are in the table of stages."
    )
    return picture(key, TITLE, words, width, height, *parts)


def _wide(
    stages: Sequence[Stage], most_s: float, most_rows: int, width: float
) -> tuple[list[Markup], float]:
    """The two bars beside each other."""
    left, row, top = 168.0, 30.0, 30.0
    middle = left + (width - left) * 0.56
    time = Linear(0, most_s, 0, middle - left - 110)
    rows = Linear(0, most_rows, 0, width - middle - 84)
    parts = [
        label(left, 14, "wall time", "start", "tick"),
        label(middle, 14, "rows", "start", "tick"),
    ]
    for i, one in enumerate(stages):
        y = top + i * row
        parts.append(label(left - 10, y + 13, one.name, "end", "name", 22))
        parts.append(rect(left, y, max(time(one.seconds), 1), 18, "bar", _words(one), rx=2))
        at = left + max(time(one.seconds), 1) + 6
        parts.append(label(at, y + 13, seconds(one.seconds), "start", "value"))
        if one.rows is not None:
            parts.append(rect(middle, y, max(rows(one.rows), 1), 18, "bar second", rx=2))
            at = middle + max(rows(one.rows), 1) + 6
            parts.append(label(at, y + 13, count(one.rows), "start", "value"))
    return parts, top + row * len(stages)


def _narrow(
    stages: Sequence[Stage], most_s: float, most_rows: int, width: float
) -> tuple[list[Markup], float]:
    """The name above, the two bars below one another."""
    row, top = 58.0, 8.0
    reach = Linear(0, 1, 0, width - 96)
    parts: list[Markup] = []
    for i, one in enumerate(stages):
        y = top + i * row
        parts.append(label(0, y + 10, one.name, "start", "name", 44))
        long = max(reach(one.seconds / most_s), 1)
        parts.append(rect(0, y + 16, long, 11, "bar", _words(one), rx=2))
        parts.append(label(long + 6, y + 26, seconds(one.seconds), "start", "value"))
        if one.rows is not None:
            long = max(reach(one.rows / most_rows), 1)
            parts.append(rect(0, y + 33, long, 7, "bar second", rx=2))
            parts.append(label(long + 6, y + 41, f"{one.rows:,} rows", "start", "tick"))
    return parts, top + row * len(stages)


def _words(one: Stage) -> str:
    words = f"{one.name}: {seconds(one.seconds)}"
    if one.rows is not None:
        words += f", {one.rows:,} rows"
        if one.seconds > 0:
            words += f" ({one.rows / one.seconds:,.0f} a second)"
    return words + (f", peak {megabytes(one.peak_mb)}" if one.peak_mb is not None else "")
