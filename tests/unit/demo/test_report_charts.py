"""The charts: true to their figures, well-formed, and drawn when there is little to draw."""

from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.demo.report import (
    DriftCell,
    LatencyFigures,
    LineageEdge,
    LineageNode,
    Retraining,
    Stage,
    VersionFigures,
    WeekFigures,
    charts,
)
from raypipe.demo.report.charts.drift import BOUNDS, shade
from raypipe.demo.report.figures import count, seconds, share, shorten, signed
from raypipe.demo.report.markup import el, text
from raypipe.demo.report.scales import Linear, Log, date_ticks, log_ticks, nice_ticks, tick_label
from raypipe.demo.report.svg import NARROW, WIDE, apart

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = date(2013, 4, 1)
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "\"><script>alert(1)</script>&amp;'`\x00\x0b\ud800"


def week(number: int, first: float | None, loop: float | None) -> WeekFigures:
    return WeekFigures(
        week_start=FIRST + timedelta(weeks=number),
        rows=100,
        auc_first=first,
        auc_loop=loop,
        version_in_service=1,
    )


def parse(svg: str) -> ElementTree.Element:
    """The picture, with what every picture must have."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    named = (root.get("aria-labelledby") or "").split()
    assert [root[0].get("id"), root[1].get("id")] == named
    assert [root[0].tag, root[1].tag] == [f"{SVG}title", f"{SVG}desc"]
    assert "nan" not in svg
    assert "inf" not in svg.replace("information", "")
    return root


def words(root: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def with_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in root.iter() if name in (one.get("class") or "").split()]


# Scales and ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 12))
def test_ticks_are_round_even_and_enclose(low: float, width: float, number: int) -> None:
    high = low + width
    ticks = nice_ticks(low, high, number)
    slack = 1e-6 * (abs(low) + abs(high) + width)

    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert len(ticks) <= number + 2
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-4)
    assert float(f"{steps[0]:.0e}") == pytest.approx(steps[0], rel=1e-4)
    assert f"{steps[0]:.0e}"[0] in "125"


def test_ticks_of_one_value_still_have_a_width() -> None:
    assert nice_ticks(0.7, 0.7)[0] < 0.7 < nice_ticks(0.7, 0.7)[-1]
    assert nice_ticks(0, 0)[0] < 0 < nice_ticks(0, 0)[-1]


def test_tick_labels_have_the_decimals_of_their_step() -> None:
    assert [tick_label(v, 0.02) for v in (0.6, 0.62)] == ["0.60", "0.62"]
    assert tick_label(12000, 2000) == "12,000"


@given(st.floats(1e-3, 1e4), st.floats(1, 1e4))
def test_logarithmic_ticks_enclose(low: float, times: float) -> None:
    ticks = log_ticks(low, low * times)

    assert ticks[0] <= low * 1.001
    assert ticks[-1] >= low * times * 0.999
    assert len(ticks) >= 2


@given(st.dates(date(1970, 1, 1), date(2100, 1, 1)), st.integers(0, 4000), st.integers(2, 20))
def test_date_ticks_lie_within_and_are_few(first: date, days: int, most: int) -> None:
    last = first + timedelta(days=days)
    ticks = date_ticks(first, last, most)

    assert 1 <= len(ticks) <= most + 1
    assert all(first <= one <= last for one, _ in ticks)
    assert re.search(r"\d{4}", ticks[0][1])


def test_scales() -> None:
    assert Linear(0, 10, 100, 200)(5) == 150
    assert Linear(3, 3, 100, 200)(3) == 150
    assert Log(1, 100, 0, 10)(10) == pytest.approx(5)
    assert Log(1, 100, 0, 10)(0) == 0


@given(st.lists(st.floats(0, 300), max_size=6))
def test_labels_are_moved_apart_and_keep_their_order(wanted: list[float]) -> None:
    placed = apart(wanted, 16, 0, 300)

    assert all(b - a >= 16 - 1e-6 for a, b in pairwise(sorted(placed)))
    assert all(0 <= one <= 300 for one in placed)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    assert sorted(placed) == [placed[i] for i in order]


# Figures and markup


def test_figures_are_written_one_way() -> None:
    assert [signed(v) for v in (0.0123, -0.0123, 0.0004, -0.0004, None)] == [
        "+0.012",
        "\u22120.012",
        "0.000",
        "0.000",
        "\u2013",
    ]
    assert count(1234567) == "1,234,567"
    given_seconds = [seconds(v).replace("\u00a0", " ") for v in (0.2, 61.3, 332, 7260)]
    assert given_seconds == ["0.20 s", "61.3 s", "5 min 32 s", "2 h 01 min"]
    shares = [share(v).replace("\u00a0", " ") for v in (0.0, 1e-9, 0.0001, 0.25)]
    assert shares == ["0 %", "under 0.001 %", "0.010 %", "25.0 %"]
    assert shorten("abcdef", 4) == "abc…"


@given(st.text())
def test_any_text_survives_as_text_alone(value: str) -> None:
    root = ElementTree.fromstring(el("a", text(value), title=value).encode())

    assert len(root) == 0
    assert set(root.keys()) == {"title"}


# The six


def draw_all(width: float, name: str = "x") -> list[str]:
    """Every chart, with one of everything, all named `name`."""
    version = VersionFigures(
        version=1,
        trained_from=FIRST,
        trained_until=FIRST,
        rows=1,
        model_hash=name,
        in_service_from=FIRST,
        state=name,
    )
    never = VersionFigures(
        version=2, trained_from=FIRST, trained_until=FIRST, rows=1, model_hash=name, state=name
    )
    retraining = Retraining(
        cause=name, week=FIRST, from_version=1, to_version=2, promoted=False, reason=name
    )
    cell = DriftCell(week_start=FIRST, column=name, psi=0.3, raised=True)
    nodes = [LineageNode(id=name, kind="source", label=name, detail=name)]
    return [
        charts.auc_by_week([week(0, 0.7, 0.71)], [retraining], key="k", width=width),
        charts.drift_map([cell], key="k", width=width),
        charts.versions_in_service([version, never], [week(0, 0.7, 0.7)], key="k", width=width),
        charts.request_latency(
            [
                LatencyFigures(
                    batch_rows=1, requests=1, p50_ms=1.0, p90_ms=1.0, p99_ms=1.0, max_ms=1.0
                )
            ],
            key="k",
            width=width,
        ),
        charts.stage_bars([Stage(name=name, seconds=0.0, rows=0)], key="k", width=width),
        charts.lineage_graph(nodes, [LineageEdge(source=name, target=name)], key="k", width=width),
    ]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["x", "a" * 300, HOSTILE, ""])
def test_one_of_everything_is_well_formed(width: int, name: str) -> None:
    for svg in draw_all(width, name):
        root = parse(svg)
        assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
            "svg", "title", "desc", "g", "text", "rect", "line", "path", "circle", "defs",
            "pattern", "marker",
        }  # fmt: skip


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts.auc_by_week([], [], key="k", width=WIDE),
        lambda: charts.auc_by_week([week(0, None, None)], [], key="k", width=WIDE),
        lambda: charts.drift_map([], key="k", width=WIDE),
        lambda: charts.versions_in_service([], [], key="k", width=WIDE),
        lambda: charts.request_latency([], key="k", width=WIDE),
        lambda: charts.stage_bars([], key="k", width=WIDE),
        lambda: charts.lineage_graph([], [], key="k", width=WIDE),
    ],
)
def test_no_data_is_said_in_the_picture(draw: Callable[[], str]) -> None:
    (said,) = words(parse(draw()))
    assert said.startswith("No ")


def test_auc_lines_break_where_an_auc_is_missing() -> None:
    weeks = [week(0, 0.7, 0.7), week(1, 0.7, 0.72), week(2, None, None), week(3, 0.7, 0.69)]
    root = parse(charts.auc_by_week(weeks, [], key="k", width=WIDE))

    lines = with_class(root, "loop")
    assert [one.tag for one in lines if "line" in (one.get("class") or "")] == [
        f"{SVG}path",
        f"{SVG}circle",
    ]
    assert "loop 0.690" in words(root)


def test_the_difference_is_cut_where_the_lines_cross() -> None:
    root = parse(
        charts.auc_by_week([week(0, 0.7, 0.72), week(1, 0.72, 0.7)], [], key="k", width=WIDE)
    )
    (better,), (worse,) = with_class(root, "better"), with_class(root, "worse")
    corners = [set(re.findall(r"[\d.]+ [\d.]+", one.get("d") or "")) for one in (better, worse)]

    assert len(corners[0] & corners[1]) == 1
    assert [len(one) for one in corners] == [3, 3]


def test_equal_lines_have_no_difference() -> None:
    root = parse(
        charts.auc_by_week([week(0, 0.7, 0.7), week(1, 0.7, 0.7)], [], key="k", width=WIDE)
    )

    assert not with_class(root, "better")
    assert not with_class(root, "worse")


def test_retrainings_are_marked_with_their_versions() -> None:
    made = [
        Retraining(
            cause="drift",
            week=FIRST + timedelta(weeks=i),
            from_version=1,
            to_version=to,
            promoted=ok,
        )
        for i, to, ok in [(0, 2, True), (1, 3, False), (2, None, False)]
    ]
    weeks = [week(i, 0.7, 0.71) for i in range(30)]
    root = parse(charts.auc_by_week(weeks, made, key="k", width=WIDE))

    assert len(with_class(root, "mark")) == 3
    assert len(with_class(root, "refused")) == len(with_class(root, "cross")) == 2
    marks = [one for one in with_class(root, "strong") if one.tag == f"{SVG}text"]
    assert [one.text for one in marks] == ["v2", "v3", "\u2013"]
    # A week apart is too close for one line; two weeks are not.
    heights = [one.get("y") for one in marks]
    assert heights[0] == heights[2] != heights[1]


def test_drift_cells_have_their_colour_and_raised_ones_an_outline() -> None:
    cells = [
        DriftCell(week_start=FIRST, column="calm", psi=0.001),
        DriftCell(week_start=FIRST, column="wild", psi=0.9, log_e=12.0, raised=True),
        DriftCell(week_start=FIRST, column="unknown", psi=None),
    ]
    root = parse(charts.drift_map(cells, key="k", width=WIDE))

    # One in the map and one in the legend.
    assert len(with_class(root, "raised")) == len(with_class(root, "raised-dot")) == 2
    assert len(with_class(root, "psi-unknown")) == 1
    assert [one.text for one in with_class(root, "name")] == ["wild", "calm", "unknown"]
    titles = [one.text for one in root.iter(f"{SVG}title")]
    assert "wild, week of 2013-04-01: PSI 0.900, log e 12.0, alarm raised" in titles


def test_shades_of_psi() -> None:
    assert [shade(v) for v in (-0.1, 0.0, 0.01, 0.0999, 0.1, 0.25, 7.0)] == [0, 0, 1, 2, 3, 4, 5]
    assert list(BOUNDS) == sorted(BOUNDS)


def test_versions_that_came_back_have_two_bars_in_one_row() -> None:
    def span(number: int, start: int | None, end: int | None) -> VersionFigures:
        return VersionFigures(
            version=number,
            trained_from=date(2013, 1, 1),
            trained_until=date(2013, 3, 31),
            rows=10,
            model_hash="0",
            auc_valid=0.7,
            in_service_from=None if start is None else FIRST + timedelta(weeks=start),
            in_service_until=None if end is None else FIRST + timedelta(weeks=end),
        )

    spans = [span(1, 0, 4), span(2, 4, 5), span(1, 5, None), span(3, None, None)]
    weeks = [week(i, 0.7, 0.7) for i in range(39)]
    root = parse(charts.versions_in_service(spans, weeks, key="k", width=WIDE))

    # Three in the chart and one in the key.
    bars = with_class(root, "bar")
    assert len(bars) == 4
    assert bars[1].get("y") == bars[2].get("y") != bars[3].get("y")
    assert {"v1", "v2", "v3", "still serving", "never in service"} <= set(words(root))


def test_bars_of_stages_are_in_proportion() -> None:
    stages = [Stage(name="a", seconds=10.0, rows=50), Stage(name="b", seconds=5.0)]
    for width in (WIDE, NARROW):
        bars = with_class(parse(charts.stage_bars(stages, key="k", width=width)), "bar")
        time = [float(one.get("width") or 0) for one in bars if one.get("class") == "bar"]
        assert time[0] == pytest.approx(2 * time[1], abs=0.02)
        assert len(bars) == 3


def test_latency_is_by_batch_size_and_leaves_out_what_took_no_time() -> None:
    def of(rows: int, p50: float) -> LatencyFigures:
        return LatencyFigures(
            batch_rows=rows, requests=5, p50_ms=p50, p90_ms=2 * p50, p99_ms=5 * p50, max_ms=9 * p50
        )

    root = parse(
        charts.request_latency([of(100, 3.0), of(1, 0.5), of(7, 0.0)], key="k", width=NARROW)
    )
    assert [one.text for one in with_class(root, "name")] == ["1 row", "100 rows"]
