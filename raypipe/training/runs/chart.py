"""A line chart as SVG, small enough to need no library."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 640, 300, 62, 26, 40, 170
_COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
_MOST_POINTS = 500

Line = tuple[str, str, bool, "Sequence[tuple[float, float]]"]


def line_chart(title: str, below: str, lines: Sequence[Line], *, dots: Container[str] = ()) -> str:
    """A picture of lines over one axis.

    Args:
        title: what is drawn.
        below: the name of the horizontal axis.
        lines: for each its label, what its color stands for, whether it is dashed, and its points.
            Points that are not finite are left out; of very many, some are.
        dots: what stands for points that are not joined, by what its color stands for.
    """
    drawn = [(label, key, dashed, _finite(points)) for label, key, dashed, points in lines]
    xs = [x for *_, points in drawn for x, _ in points]
    ys = [y for *_, points in drawn for _, y in points]
    if not xs:
        said = f"<title>{escape(title)}: no values</title>"
        return f'<svg xmlns="http://www.w3.org/2000/svg" role="img">{said}</svg>'
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    x0, x1 = min(*xs, x_ticks[0]), max(*xs, x_ticks[-1])
    y0, y1 = min(*ys, y_ticks[0]), max(*ys, y_ticks[-1])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x0) / (x1 - x0) if x1 > x0 else 0.5
        up = (y - y0) / (y1 - y0) if y1 > y0 else 0.5
        return _LEFT + across * _across(), _TOP + (1 - up) * _up()

    parts = [f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)}</text>']
    for tick in y_ticks:
        y = at(x0, tick)[1]
        parts.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + _across()}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for tick in x_ticks:
        x = at(tick, y0)[0]
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 22}" text-anchor="middle">{tick:.4g}</text>')
    middle = _LEFT + _across() / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(below)}</text>'
    )
    colors: dict[str, str] = {}
    for place, (label, key, dashed, points) in enumerate(drawn):
        color = colors.setdefault(key, _COLORS[len(colors) % len(_COLORS)])
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
        shape = f'<polyline points="{path}" fill="none" stroke="{color}"{dash}/>'
        if len(points) == 1 or key in dots:
            spots = (at(*point) for point in points)
            shape = "".join(_dot(x, y, color) for x, y in spots)
        parts.append(f"<g><title>{escape(label)}</title>{shape}</g>")
        x, y = _LEFT + _across() + 10, _TOP + 12 + 16 * place
        if y < _HEIGHT - 10:
            line = (
                f'<line x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}" stroke="{color}"{dash}/>'
            )
            parts.append(_dot(x + 9, y - 4, color) if key in dots else line)
            parts.append(f'<text x="{x + 24}" y="{y}">{escape(label)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that reach from one end to the other, at most about ``most`` of them."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= raw)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)] or [low]


def _dot(x: float, y: float, color: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'


def _across() -> int:
    return _WIDTH - _LEFT - _RIGHT


def _up() -> int:
    return _HEIGHT - _TOP - _BOTTOM


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    kept = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    every = -(-len(kept) // _MOST_POINTS)
    return kept if every <= 1 else [*kept[::every], kept[-1]]
