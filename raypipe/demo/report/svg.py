"""The parts that every chart shares: the picture, labels, axes, hover titles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from raypipe.demo.report.figures import shorten
from raypipe.demo.report.markup import Markup, el, text
from raypipe.demo.report.scales import date_ticks, tick_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

#: Width of a chart on a page with room, and on a small screen, in CSS pixels.
WIDE, NARROW = 1040, 360

Anchor = Literal["start", "middle", "end"]


def picture(
    key: str,
    title: str,
    description: str,
    width: float,
    height: float,
    *children: Markup,
    least: float | None = None,
) -> Markup:
    """One chart: an `svg` with role img, named by its title and described for who cannot see it.

    Args:
        key: a prefix for ids, unique on the page.
        title: what it shows, in a phrase.
        description: what can be read from it, in a sentence or two.
        width: of the view box.
        height: of the view box.
        children: what is drawn.
        least: the width under which it is not to shrink; the box around it then scrolls.
    """
    return el(
        "svg",
        el("title", text(title), id=f"{key}-title"),
        el("desc", text(description), id=f"{key}-desc"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        viewBox=f"0 0 {round(width)} {round(height)}",
        width=round(width),
        height=round(height),
        style=None if least is None else f"min-width:{round(least)}px",
    )


def nothing(key: str, title: str, why: str, width: float) -> Markup:
    """The picture for no data: it says so."""
    return picture(key, title, why, width, 72, label(width / 2, 40, why, "middle", "quiet"))


def label(
    x: float,
    y: float,
    value: str,
    anchor: Anchor = "start",
    class_: str | None = None,
    most: int | None = None,
) -> Markup:
    """A line of text; cut to `most` characters, then with the whole of it on hover."""
    shown = value if most is None else shorten(value, most)
    inside = [text(shown)] if shown == value else [text(shown), hover(value)]
    return el(
        "text",
        *inside,
        x=float(x),
        y=float(y),
        text_anchor=None if anchor == "start" else anchor,
        class_=class_,
    )


def hover(value: str) -> Markup:
    """What a pointer held over the parent element shows."""
    return el("title", text(value))


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return el("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    class_: str,
    title: str | None = None,
    rx: float | None = None,
) -> Markup:
    """A rectangle, with what it stands for on hover."""
    inside = [] if title is None else [hover(title)]
    return el(
        "rect",
        *inside,
        x=float(x),
        y=float(y),
        width=float(max(width, 0)),
        height=float(max(height, 0)),
        rx=rx,
        class_=class_,
    )


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through the points; a lone point is drawn as a dot, so that it is not lost."""
    if len(points) == 1:
        (x, y) = points[0]
        return el("circle", cx=float(x), cy=float(y), r=3, class_=f"{class_} lone")
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return el("path", d=path, class_=class_)


def y_axis(
    ticks: Sequence[float], scale: Callable[[float], float], left: float, right: float
) -> list[Markup]:
    """Grid lines with their values at the left."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    parts = []
    for tick in ticks:
        parts.append(line(left, scale(tick), right, scale(tick), "grid"))
        parts.append(label(left - 8, scale(tick) + 4, tick_label(tick, step), "end", "tick"))
    return parts


def x_dates(
    first: date, last: date, scale: Callable[[float], float], y: float, width: float
) -> list[Markup]:
    """Marks and names of the months (or days) along the bottom."""
    parts = []
    reach = -1e9
    for day, name in date_ticks(first, last, most=max(2, int(width // 48))):
        x = scale(day.toordinal())
        parts.append(line(x, y, x, y + 5, "axis"))
        half = 3.3 * len(name)
        if x - half > reach:
            parts.append(label(x, y + 19, name, "middle", "tick"))
            reach = x + half + 6
    return parts


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near those wanted, in the same order, at least `gap` apart and within the range."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    floor = low
    for i in order:
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed
