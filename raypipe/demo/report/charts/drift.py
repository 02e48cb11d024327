"""The drift map: a row for each column, a cell for each week, the colour its PSI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raypipe.demo.report.figures import UNKNOWN
from raypipe.demo.report.markup import Markup, el
from raypipe.demo.report.svg import hover, label, nothing, picture, rect, x_dates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from raypipe.demo.report.model import DriftCell

TITLE = "Drift by column and week"

#: Upper bounds of the colours; 0.1 and 0.25 are the customary marks of some and of much change.
BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5)


def drift_map(cells: Sequence[DriftCell], *, key: str, width: float) -> Markup:
    """The heat map, the column that moved most on top; raised cells have an outline and a dot."""
    if not cells:
        return nothing(key, TITLE, "No drift was measured.", width)
    narrow = width < 600
    columns = _columns(cells)
    weeks = sorted({cell.week_start for cell in cells})
    first, last = weeks[0], weeks[-1]
    left = min(7.0 * max(len(one) for one in columns) + 14, width * 0.28)
    slots = (last - first).days // 7 + 1
    step = min((width - left - 2) / slots, 44.0)
    tall = 17 if narrow else 20
    top = 4.0

    def x(day: float) -> float:
        return left + (day - first.toordinal()) / 7 * step

    parts: list[Markup] = []
    for row, column in enumerate(columns):
        y = top + row * tall
        parts.append(label(left - 8, y + tall / 2 + 4, column, "end", "name", int(left // 7)))
        # What was not measured reads as an empty track.
        parts.append(rect(left, y + 1, slots * step, tall - 2, "track"))
    rows = {column: i for i, column in enumerate(columns)}
    # Raised cells come last, so that no neighbour covers their outline.
    for cell in sorted(cells, key=lambda cell: cell.raised):
        at = x(cell.week_start.toordinal())
        parts.append(_cell(cell, at, top + rows[cell.column] * tall, step, tall))
    bottom = top + len(columns) * tall + 4
    parts += x_dates(first, last, lambda day: x(day) + step / 2, bottom, width - left)
    legend, deep = _legend(left if not narrow else 4, bottom + 44, width)
    parts += legend
    return picture(key, TITLE, _describe(cells, columns, weeks), width, bottom + 44 + deep, *parts)


def shade(psi: float) -> int:
    """The index of the colour of a PSI: 0 for the lowest, len(BOUNDS) for the highest."""
    return sum(psi >= bound for bound in BOUNDS)


def _columns(cells: Sequence[DriftCell]) -> list[str]:
    highest: dict[str, float] = {}
    for cell in cells:
        highest[cell.column] = max(highest.get(cell.column, 0.0), cell.psi or 0.0)
    return sorted(highest, key=lambda column: (-highest[column], column))


def _cell(cell: DriftCell, x: float, y: float, step: float, tall: float) -> Markup:
    psi = UNKNOWN if cell.psi is None else f"{cell.psi:.3f}"
    words = f"{cell.column}, week of {cell.week_start}: PSI {psi}"
    if cell.log_e is not None:
        words += f", log e {cell.log_e:.1f}"
    if cell.raised:
        words += ", alarm raised"
    kind = "psi-unknown" if cell.psi is None else f"psi{shade(cell.psi)}"
    gap = 0.5 if step > 5 else 0
    box = rect(x + gap, y + 1, step - 2 * gap, tall - 2, kind, words)
    return box if not cell.raised else _raised(x, y, step, tall, box, words)


def _raised(x: float, y: float, step: float, tall: float, box: Markup, words: str) -> Markup:
    frame = rect(x + 0.5, y + 1.5, step - 1, tall - 3, "raised")
    dot = el("circle", cx=x + step / 2, cy=y + tall / 2, r=min(2.6, step / 4), class_="raised-dot")
    return el("g", hover(words), box, frame, dot)


def _legend(x: float, y: float, width: float) -> tuple[list[Markup], float]:
    """The scale of colours, then the outline; on two lines where one is too short."""
    parts = [label(x, y + 11, "PSI", "start", "tick")]
    start, box = x + 34, 40.0
    for i in range(len(BOUNDS) + 1):
        parts.append(rect(start + i * box, y, box, 14, f"psi{i}"))
        if i < len(BOUNDS):
            at = start + (i + 1) * box
            parts.append(label(at, y + 28, f"{BOUNDS[i]:g}", "middle", "tick"))
    at = start + (len(BOUNDS) + 1) * box + 28
    deep = 34.0
    if at + 110 > width:
        at, y, deep = x, y + 42, 66.0
    parts.append(_raised(at, y - 2, 20, 18, rect(at + 0.5, y - 1, 19, 16, "psi3"), "alarm raised"))
    parts.append(label(at + 28, y + 11, "alarm raised", "start", "tick"))
    return parts, deep


def _describe(cells: Sequence[DriftCell], columns: Sequence[str], weeks: Sequence[date]) -> str:
    raised = [cell for cell in cells if cell.raised]
    words = (
        f"Population stability index of {len(columns)} columns over {len(weeks)} weeks. "
        f"{columns[0]} moved most. "
    )
    if not raised:
        return words + "No alarm was raised."
    names = ", ".join(sorted({cell.column for cell in raised}))
    return words + f"An alarm was raised in {len(raised)} cells, for {names}."
