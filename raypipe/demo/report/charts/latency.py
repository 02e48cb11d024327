"""Time of a request by the rows it carries: median, 90th and 99th percentile, and the longest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raypipe.demo.report.figures import many, millis
from raypipe.demo.report.markup import Markup, el
from raypipe.demo.report.scales import Log, log_ticks
from raypipe.demo.report.svg import hover, label, line, nothing, picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.demo.report.model import LatencyFigures

TITLE = "Request latency by rows in a request"

_ROW = 44


def request_latency(latency: Sequence[LatencyFigures], *, key: str, width: float) -> Markup:
    """A row for each batch size on a logarithmic axis; the shape of a mark tells its quantile."""
    # A time of zero or less has no place on a logarithmic axis.
    sizes = sorted((one for one in latency if one.p50_ms > 0), key=lambda one: one.batch_rows)
    if not sizes:
        return nothing(key, TITLE, "No request was timed.", width)
    narrow = width < 600
    left, right = (82.0, width - 16) if narrow else (150.0, width - 24)
    lows, highs = [one.p50_ms for one in sizes], [max(one.max_ms, one.p99_ms) for one in sizes]
    ticks = log_ticks(min(lows), max(highs), 5 if narrow else 12)
    x = Log(ticks[0], ticks[-1], left, right)
    top = 30.0
    bottom = top + _ROW * len(sizes) + 8
    parts = _key(4.0 if narrow else left)
    for tick in ticks:
        parts.append(line(x(tick), top, x(tick), bottom, "grid"))
        parts.append(label(x(tick), bottom + 18, f"{tick:g}", "middle", "tick"))
    parts.append(label(right, bottom + 36, "milliseconds, logarithmic", "end", "tick"))
    for i, one in enumerate(sizes):
        y = top + i * _ROW + _ROW / 2 + 6
        parts += _row(one, x, y, left, narrow)
    slowest = max(sizes, key=lambda one: one.p99_ms)
    words = (
        f"Quantiles of request time for {many(len(sizes), 'batch size')}. The highest 99th "
        f"percentile is {millis(slowest.p99_ms)}, at {many(slowest.batch_rows, 'row')} a request."
    )
    return picture(key, TITLE, words, width, bottom + 44, *parts)


def _row(one: LatencyFigures, x: Log, y: float, left: float, narrow: bool) -> list[Markup]:
    p50, p90, p99, end = (x(v) for v in (one.p50_ms, one.p90_ms, one.p99_ms, one.max_ms))
    name = many(one.batch_rows, "row")
    words = (
        f"{name} a request, {many(one.requests, 'request')}: p50 {millis(one.p50_ms)}, "
        f"p90 {millis(one.p90_ms)}, p99 {millis(one.p99_ms)}, longest {millis(one.max_ms)}"
    )
    parts = [label(left - 10, y + 4, name, "end", "name")]
    if not narrow:
        parts.append(label(left - 10, y + 18, many(one.requests, "request"), "end", "tick"))
    inside = [
        hover(words),
        line(p50, y, max(end, p99), y, "whisker"),
        line(p50, y, p99, y, "span"),
        _dot(p50, y),
        _tick(p90, y),
        _diamond(p99, y),
        _end(end, y),
    ]
    parts.append(el("g", *inside))
    parts.append(label(p50, y - 10, _bare(one.p50_ms), "middle", "value"))
    if p99 - p50 > 44:
        parts.append(label(p99, y - 10, _bare(one.p99_ms), "middle", "value"))
    return parts


def _bare(value: float) -> str:
    return millis(value).removesuffix("\u00a0ms")


def _key(x: float) -> list[Markup]:
    """What the marks mean."""
    parts: list[Markup] = []
    for draw, name, step in (
        (_dot, "p50", 58),
        (_tick, "p90", 58),
        (_diamond, "p99", 58),
        (_end, "longest", 80),
    ):
        parts += [draw(x + 6, 12), label(x + 17, 16, name, "start", "tick")]
        x += step
    return parts


def _dot(x: float, y: float) -> Markup:
    return el("circle", cx=x, cy=y, r=5, class_="quantile")


def _tick(x: float, y: float) -> Markup:
    return line(x, y - 6, x, y + 6, "quantile-line")


def _diamond(x: float, y: float) -> Markup:
    return el("path", d=f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6Z", class_="quantile")


def _end(x: float, y: float) -> Markup:
    return line(x, y - 4, x, y + 4, "whisker")
