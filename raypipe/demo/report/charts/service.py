"""Versions over time: what each was trained on, and when it served."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from raypipe.demo.report.figures import auc
from raypipe.demo.report.markup import Markup, el
from raypipe.demo.report.scales import Linear
from raypipe.demo.report.svg import hover, label, line, nothing, picture, rect, x_dates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.demo.report.model import VersionFigures, WeekFigures

TITLE = "Versions in service over time"

_ROW = 30


def versions_in_service(
    versions: Sequence[VersionFigures],
    weeks: Sequence[WeekFigures],
    *,
    key: str,
    width: float,
) -> Markup:
    """A row for each version: a thin line over the rows it was trained on, a bar while it served.

    A bar without an end reaches the end of the weeks. A version that never served says so.
    """
    if not versions:
        return nothing(key, TITLE, "No version was registered.", width)
    rows = sorted({one.version for one in versions})
    first, last = _span(versions, weeks)
    left, right = 44.0, width - 12
    x = Linear(first.toordinal(), last.toordinal(), left, right)
    top = 30.0
    bottom = top + _ROW * len(rows)
    parts = _key(left)
    for i, number in enumerate(rows):
        y = top + i * _ROW + _ROW / 2
        if i % 2 == 0:
            parts.append(rect(0, y - _ROW / 2, width, _ROW, "band"))
        parts.append(label(left - 12, y + 4, f"v{number}", "end", "strong"))
        parts += _row([one for one in versions if one.version == number], x, y, last)
    parts += x_dates(first, last, lambda day: x(day), bottom + 2, right - left)
    served = sorted({one.version for one in versions if one.in_service_from is not None})
    words = (
        f"{len(rows)} versions were registered and {len(served)} of them served, between "
        f"{first} and {last}. The dates are in the table of versions."
    )
    return picture(key, TITLE, words, width, bottom + 30, *parts)


def _key(left: float) -> list[Markup]:
    """What the thin line and the bar mean."""
    return [
        line(left, 11, left + 24, 11, "trained"),
        label(left + 30, 15, "training rows", "start", "tick"),
        rect(left + 128, 5, 24, 12, "bar", rx=2),
        label(left + 158, 15, "in service", "start", "tick"),
    ]


def _span(versions: Sequence[VersionFigures], weeks: Sequence[WeekFigures]) -> tuple[date, date]:
    days = [week.week_start for week in weeks]
    # The last week is a week long.
    days += [week.week_start + timedelta(days=6) for week in weeks]
    for one in versions:
        days += [one.trained_from, one.trained_until]
        days += [day for day in (one.in_service_from, one.in_service_until) if day is not None]
    first, last = min(days), max(days)
    return first, last if last > first else first + timedelta(days=1)


def _row(spans: Sequence[VersionFigures], x: Linear, y: float, last: date) -> list[Markup]:
    parts: list[Markup] = []
    one = spans[0]
    from_x, until_x = x(one.trained_from.toordinal()), x(one.trained_until.toordinal())
    trained = f"version {one.version}: trained on {one.rows:,} rows, {one.trained_from} to "
    trained += f"{one.trained_until}"
    parts.append(el("g", hover(trained), line(from_x, y, until_x, y, "trained")))
    parts += [line(at, y - 4, at, y + 4, "trained") for at in (from_x, until_x)]
    for span in spans:
        if span.in_service_from is None:
            words = f"never in service{f': {span.state}' if span.state else ''}"
            if until_x + 8 + 6.4 * len(words) <= x.end:
                parts.append(label(until_x + 8, y + 4, words, "start", "quiet"))
            else:
                parts.append(label(until_x - 8, y + 4, "never served", "end", "quiet over"))
            continue
        parts += _bar(span, x, y, last)
    return parts


def _bar(span: VersionFigures, x: Linear, y: float, last: date) -> list[Markup]:
    assert span.in_service_from is not None
    until = span.in_service_until
    start = x(span.in_service_from.toordinal())
    end = x((until or last).toordinal())
    words = (
        f"version {span.version} in service from {span.in_service_from} "
        f"{'to ' + str(until) if until else 'on'}, validation AUC {auc(span.auc_valid)}"
    )
    parts = [rect(start, y - 9, max(end - start, 3), 18, "bar", words, rx=2)]
    inside = f"AUC {auc(span.auc_valid)}"
    shown = inside if end - start > 6.6 * len(inside) + 12 else auc(span.auc_valid)
    if span.auc_valid is not None and end - start > 6.6 * len(shown) + 12:
        parts.append(label(start + 7, y + 4, shown, "start", "on-bar"))
    if until is None and end - start > 6.6 * len(inside) + 100:
        parts.append(label(end - 7, y + 4, "still serving", "end", "on-bar"))
    return parts
