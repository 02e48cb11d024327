"""AUC by week: the first version, the loop, and the difference between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import timedelta

from raypipe.demo.report.figures import UNKNOWN, auc, signed
from raypipe.demo.report.markup import Markup, el
from raypipe.demo.report.model import Retraining, WeekFigures
from raypipe.demo.report.scales import Linear, nice_ticks
from raypipe.demo.report.svg import (
    apart,
    hover,
    label,
    line,
    nothing,
    picture,
    polyline,
    rect,
    x_dates,
    y_axis,
)

TITLE = "AUC by week, first version and loop"

Point = tuple[float, float]
Reader = Callable[[WeekFigures], float | None]

# Drawn in this order: the loop lies on top. Name on a wide page, name on a narrow one, class.
_LINES: tuple[tuple[Reader, str, str, str], ...] = (
    (lambda week: week.auc_static_baseline, "static baseline", "static", "static"),
    (lambda week: week.auc_first, "first version", "first", "first"),
    (lambda week: week.auc_loop, "loop", "loop", "loop"),
)


def auc_by_week(
    weeks: Sequence[WeekFigures], retrainings: Sequence[Retraining], *, key: str, width: float
) -> Markup:
    """Two lines (three with a baseline), their difference shaded, retrainings marked above.

    A filled mark is a version that was promoted, a crossed one a candidate that was not. A week
    without an AUC is a gap in the line.
    """
    weeks = sorted(weeks, key=lambda week: week.week_start)
    known = [v for week in weeks for read, *_ in _LINES if (v := read(week)) is not None]
    if not known:
        return nothing(key, TITLE, "No week has an AUC yet.", width)
    narrow = width < 600
    left, right = 44, width - (62 if narrow else 148)
    days = [week.week_start for week in weeks] + [one.week for one in retrainings]
    first, last = min(days), max(days)
    if first == last:
        first, last = first - timedelta(days=3), last + timedelta(days=3)
    x = Linear(first.toordinal(), last.toordinal(), left + 8, right - 8)
    marks, head = _marks(retrainings, x)
    top, bottom = 14 + head, 14 + head + (210 if narrow else 300)
    ticks = nice_ticks(min(known), max(known), 8)
    y = Linear(ticks[0], ticks[-1], bottom, top)

    parts = [_hatch(key), *y_axis(ticks, y, left, right)]
    parts += x_dates(first, last, lambda day: x(day), bottom, right - left)
    parts += _difference(weeks, x, y, key)
    parts += [line(at, 14 + head - 4, at, bottom, "moment") for at in sorted(set(marks.values()))]
    parts += _lines(weeks, x, y, narrow, right)
    parts += _hover_weeks(weeks, x, top, bottom)
    parts += _draw_marks(retrainings, marks, head)
    return picture(key, TITLE, _describe(weeks, retrainings, ticks), width, bottom + 30, *parts)


def _describe(
    weeks: Sequence[WeekFigures], retrainings: Sequence[Retraining], ticks: Sequence[float]
) -> str:
    promoted = sum(one.promoted for one in retrainings)
    return (
        f"Weekly ROC AUC from {weeks[0].week_start} to {weeks[-1].week_start}, between "
        f"{auc(ticks[0])} and {auc(ticks[-1])}, with {len(retrainings)} retrainings of which "
        f"{promoted} were promoted. The same figures are in the table of weeks."
    )


def _hatch(key: str) -> Markup:
    """The pattern of weeks in which the loop was worse: stripes, so that colour is not needed."""
    stripe = el("path", d="M0 6L6 0", class_="stripe")
    return el(
        "defs",
        el("pattern", stripe, id=f"{key}-hatch", width=6, height=6, patternUnits="userSpaceOnUse"),
    )


def _difference(weeks: Sequence[WeekFigures], x: Linear, y: Linear, key: str) -> list[Markup]:
    """The area between the lines: one path where the loop is above, one where it is below."""
    better, worse = "", ""
    for one, two in itertools.pairwise(weeks):
        if one.auc_first is None or one.auc_loop is None:
            continue
        if two.auc_first is None or two.auc_loop is None:
            continue
        x1, x2 = x(one.week_start.toordinal()), x(two.week_start.toordinal())
        gain1, gain2 = one.auc_loop - one.auc_first, two.auc_loop - two.auc_first
        left = [(x1, y(one.auc_first)), (x1, y(one.auc_loop))]
        right = [(x2, y(two.auc_loop)), (x2, y(two.auc_first))]
        if gain1 * gain2 >= 0:
            pieces = [(gain1 + gain2, left + right)]
        else:
            part = gain1 / (gain1 - gain2)
            level = one.auc_loop + part * (two.auc_loop - one.auc_loop)
            cross = (x1 + part * (x2 - x1), y(level))
            pieces = [(gain1, [*left, cross]), (gain2, [cross, *right])]
        for gain, points in pieces:
            shape = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points) + "Z"
            if gain > 0:
                better += shape
            elif gain < 0:
                worse += shape
    parts = []
    if better:
        parts.append(el("path", d=better, class_="better"))
    if worse:
        parts.append(el("path", d=worse, class_="worse"))
        parts.append(el("path", d=worse, fill=f"url(#{key}-hatch)"))
    return parts


def _lines(
    weeks: Sequence[WeekFigures], x: Linear, y: Linear, narrow: bool, right: float
) -> list[Markup]:
    """The lines, with a direct label at the end of each."""
    parts: list[Markup] = []
    ends: list[tuple[float, str, str]] = []
    for read, long, short, class_ in _LINES:
        run: list[Point] = []
        runs: list[list[Point]] = [run]
        final: float | None = None
        for week in weeks:
            value = read(week)
            if value is None:
                run = []
                runs.append(run)
                continue
            final = value
            run.append((x(week.week_start.toordinal()), y(value)))
        parts += [polyline(points, f"line {class_}") for points in runs if points]
        if final is not None:
            name = short if narrow else f"{long} {auc(final)}"
            ends.append((y(final), name, class_))
    places = apart([at for at, _, _ in ends], 16, y.end + 4, y.start - 2)
    for place, (_, name, class_) in zip(places, ends, strict=True):
        parts.append(label(right + 4, place + 4, name, "start", f"end {class_}"))
    return parts


def _hover_weeks(
    weeks: Sequence[WeekFigures], x: Linear, top: float, bottom: float
) -> list[Markup]:
    """A clear column over each week that tells its figures."""
    step = (x.end - x.start) / max((x.high - x.low) / 7, 1) if len(weeks) > 1 else 60.0
    parts = []
    for week in weeks:
        gain = None
        if week.auc_first is not None and week.auc_loop is not None:
            gain = week.auc_loop - week.auc_first
        words = (
            f"Week of {week.week_start}, version {week.version_in_service} in service\n"
            f"loop {auc(week.auc_loop)}, first version {auc(week.auc_first)}, "
            f"difference {signed(gain)}\n{week.rows:,} rows"
        )
        at = x(week.week_start.toordinal())
        parts.append(rect(at - step / 2, top, step, bottom - top, "clear", words))
    return parts


def _marks(retrainings: Sequence[Retraining], x: Linear) -> tuple[dict[int, float], float]:
    """Where each retraining is on the x axis, and the height that their labels need."""
    places = {i: x(one.week.toordinal()) for i, one in enumerate(retrainings)}
    return places, 20.0 * len(set(_rows(places).values()))


def _rows(places: dict[int, float]) -> dict[int, int]:
    """A row for each label, so that no two in one row touch."""
    ends: list[float] = []
    rows: dict[int, int] = {}
    for i in sorted(places, key=lambda i: places[i]):
        row = next((r for r, end in enumerate(ends) if places[i] - end >= 44), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = places[i]
        rows[i] = row
    return rows


def _draw_marks(
    retrainings: Sequence[Retraining], places: dict[int, float], head: float
) -> list[Markup]:
    rows = _rows(places)
    parts = []
    for i, one in enumerate(retrainings):
        at, y = places[i], head - 20 * rows[i] - 2
        name = UNKNOWN if one.to_version is None else f"v{one.to_version}"
        words = (
            f"{one.week}: {one.cause}, version {one.from_version} to {name}, "
            f"{'promoted' if one.promoted else 'not promoted'}"
            + (f" ({one.reason})" if one.reason else "")
        )
        dot = el("circle", cx=at, cy=y, r=4.5, class_="mark" if one.promoted else "mark refused")
        inside = [hover(words), line(at, y, at, head + 10, "moment"), dot]
        if not one.promoted:
            cross = f"M{at - 2.6:.1f} {y - 2.6:.1f}l5.2 5.2m0 -5.2l-5.2 5.2"
            inside.append(el("path", d=cross, class_="cross"))
        inside.append(label(at + 8, y + 4, name, "start", "strong"))
        parts.append(el("g", *inside))
    return parts
