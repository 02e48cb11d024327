"""Pictures of a search, as SVG."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from raypipe.training.runs.chart import Line, line_chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.training.tuning.search import Mode
    from raypipe.training.tuning.trials import Ended

_WIDTH, _HEIGHT, _SIDE, _TOP, _FOOT = 640, 300, 70, 40, 30


def progress(metric: str, mode: Mode, trials: Sequence[Ended]) -> str:
    """Figures by the number of the trial, and the best so far of those that ran to their end."""
    pick = min if mode == "min" else max
    shown = [t for t in trials if not math.isnan(t.value)]
    known = [(t.number, t.value) for t in shown]
    whole = [(t.number, t.value) for t in shown if not t.stopped] or known
    best: list[tuple[float, float]] = []
    for number, value in whole:
        best.append((number, pick(value, best[-1][1]) if best else value))
    lines: list[Line] = [("best so far", "best", False, best)]
    for label, stopped in (("trial", False), ("stopped early", True)):
        points = [(t.number, t.value) for t in shown if t.stopped is stopped]
        lines += [(label, label, False, points)] if points else []
    return line_chart(metric, "trial", lines, dots=("trial", "stopped early"))


def bars(title: str, shares: Mapping[str, float]) -> str:
    """A bar for each share."""
    parts = []
    for place, (name, share) in enumerate(shares.items()):
        y = 30 + 22 * place
        parts.append(f'<text x="150" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="160" y="{y}" width="{max(0.0, share) * 380:.1f}" height="16" fill="#1f77b4">'
            f"<title>{escape(name)}: {share:.1%}</title></rect>"
        )
    if not shares:
        parts.append('<text x="10" y="42">too few trials to tell</text>')
    return _svg(title, 40 + 22 * max(1, len(shares)), parts)


def parallel(metric: str, mode: Mode, trials: Sequence[Ended], names: Sequence[str]) -> str:
    """Parallel coordinates: an axis for each setting and one for the figure."""
    shown = [t for t in trials if not math.isnan(t.value)]
    axes = [*((name, [t.params.get(name) for t in shown]) for name in names)]
    axes.append((metric, [t.value for t in shown]))
    places = [_places(values) for _, values in axes]
    ranked = sorted(range(len(shown)), key=lambda i: shown[i].value, reverse=mode == "min")
    step = (_WIDTH - 2 * _SIDE) / max(1, len(axes) - 1)
    parts = []
    for rank, i in enumerate(ranked):  # the best are drawn last, on top
        points = " ".join(
            f"{_SIDE + step * n:.1f},{_TOP + (1 - found[0][i]) * (_HEIGHT - _TOP - _FOOT):.1f}"
            for n, found in enumerate(places)
        )
        good = (rank + 1) / len(ranked)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="#1f77b4" '
            f'stroke-opacity="{0.08 + 0.8 * good**4:.2f}"><title>trial {shown[i].number}: '
            f"{shown[i].value:.6g}</title></polyline>"
        )
    for n, ((name, _), (_, low, high)) in enumerate(zip(axes, places, strict=True)):
        x = _SIDE + step * n
        bottom = _HEIGHT - _FOOT
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#888"/>')
        for text, y in ((high, _TOP - 4), (low, bottom + 12), (name, bottom + 26)):
            mark = f'x="{x:.1f}" y="{y}" text-anchor="middle"'
            parts.append(f"<text {mark}>{escape(text)}</text>")
    return _svg("settings and figure of each trial", _HEIGHT, parts)


def _places(values: Sequence[Any]) -> tuple[list[float], str, str]:
    """Where each value stands between 0 and 1, and what the ends are called."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(values) and values:
        wide = min(numbers) > 0 and max(numbers) / min(numbers) >= 100
        scaled = [math.log(v) if wide else float(v) for v in numbers]
        low, high = min(scaled), max(scaled)
        span = high - low
        found = [(v - low) / span if span else 0.5 for v in scaled]
        return found, f"{min(numbers):.4g}", f"{max(numbers):.4g}"
    kinds = sorted({str(v) for v in values})
    last = max(1, len(kinds) - 1)
    found = [kinds.index(str(v)) / last for v in values]
    return found, kinds[0] if kinds else "", kinds[-1] if kinds else ""


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11">'
        f'<title>{escape(title)}</title><text x="10" y="16" font-weight="bold">{escape(title)}'
        f"</text>{''.join(parts)}</svg>"
    )
