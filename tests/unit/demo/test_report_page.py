"""The page: one realistic report, and every odd one, rendered, parsed and opened in a browser."""

from __future__ import annotations

import json
import math
import random
import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from raypipe.demo.report import (
    DriftCell,
    Headline,
    LatencyFigures,
    LineageEdge,
    LineageNode,
    MonthFigures,
    Report,
    Retraining,
    Stage,
    TableFigures,
    VersionFigures,
    WeekFigures,
    render,
)
from tests import chromium

if TYPE_CHECKING:
    from pathlib import Path

FIRST = date(2013, 4, 1)
COLUMNS = (
    "temp", "dewp", "humid", "wind_speed", "visib", "precip", "pressure", "month", "hour",
    "weekday", "carrier", "origin", "dest", "distance", "sched_arr_time",
)  # fmt: skip
# Week asked, version made (None: the run failed), promoted, cause, columns, reason.
STORY = (
    (4, 2, True, "drift", ("temp", "dewp"), "gate passed"),
    (10, 3, True, "drift", ("temp", "month"), "gate passed"),
    (11, 4, False, "performance", (), "candidate below champion"),
    (18, 5, True, "drift", ("humid", "dest"), "gate passed"),
    (25, 6, False, "drift", ("carrier",), "gain under 0.002"),
    (29, 7, True, "drift", ("temp", "month", "hour"), "gate passed"),
    (35, 8, True, "schedule", (), "gate passed"),
)


def example() -> Report:
    """39 weeks of a loop that helps on the whole, with weeks and alarms that do not."""
    rng = random.Random(7)
    weeks, cells = [], []
    serving, number = {}, 1
    for i in range(39):
        serving[i] = number
        for at, made, promoted, *_ in STORY:
            if at == i and promoted:
                number = made
    for i in range(39):
        season = 0.035 * math.sin(i / 39 * 5.5)
        first = 0.715 - 0.0011 * i + season * 0.6 + rng.gauss(0, 0.008)
        gain = 0.0 if serving[i] == 1 else 0.0011 * i - 0.006 + rng.gauss(0, 0.007)
        gap = i == 22
        weeks.append(
            WeekFigures(
                week_start=FIRST + timedelta(weeks=i),
                rows=rng.randint(6100, 6700),
                auc_first=None if gap else first,
                auc_loop=None if gap else first + gain,
                auc_static_baseline=None if gap else first - 0.045 + rng.gauss(0, 0.004),
                version_in_service=serving[i],
                late_share=0.24 + season,
                requests=rng.randint(6100, 6700),
                failed=3 if i == 29 else 0,
                p50_ms=0.9 + rng.random() * 0.3,
                p99_ms=4 + rng.random() * 5,
            )
        )
        for k, column in enumerate(COLUMNS):
            psi = abs(rng.gauss(0, 0.012)) + (
                (0.45 * abs(math.sin(i / 11 + k / 3)) if k < 3 or column == "month" else 0.0)
                + (0.09 * (i % 13) / 13 if column in ("dest", "humid", "carrier") else 0.0)
            )
            raised = any(at == i and column in names for at, *_, names, _ in STORY)
            raised = raised or (i == 33 and column == "humid")
            if (i, column) == (22, "pressure"):
                continue
            cells.append(
                DriftCell(
                    week_start=FIRST + timedelta(weeks=i),
                    column=column,
                    psi=None if (i, column) == (6, "visib") else psi,
                    log_e=psi * 20 - 1,
                    raised=raised,
                )
            )
    made = tuple(
        Retraining(
            cause=cause,
            columns=names,
            week=FIRST + timedelta(weeks=at),
            from_version=serving[at],
            to_version=version,
            promoted=promoted,
            reason=reason,
            auc_champion=0.701,
            auc_candidate=0.724 if promoted else 0.7,
            seconds=41.0 + at,
        )
        for at, version, promoted, cause, names, reason in STORY
    )
    starts = {1: FIRST} | {v: FIRST + timedelta(weeks=at + 1) for at, v, ok, *_ in STORY if ok}
    order = sorted(starts)
    versions = tuple(
        VersionFigures(
            version=v,
            trained_from=date(2013, 1, 1),
            trained_until=FIRST + timedelta(weeks=at, days=-1),
            rows=80_000 + 6300 * at,
            model_hash=f"{v:02x}c4e1b09f3a77d5" * 4,
            auc_valid=0.715 + 0.003 * v,
            in_service_from=starts.get(v),
            in_service_until=(
                starts[order[order.index(v) + 1]] if v in starts and v != order[-1] else None
            ),
            state="champion" if v == order[-1] else "retired" if v in starts else "rejected",
        )
        for v, at in [(1, 0), *((v, at) for at, v, *_ in STORY)]
    )
    nodes = [
        LineageNode(id="f", kind="source", label="flights 2013-01..12", detail="12 CSV files"),
        LineageNode(id="w", kind="source", label="weather.csv", detail="26,115 rows"),
        LineageNode(id="p", kind="source", label="planes.csv", detail="3,322 rows"),
        LineageNode(id="tf", kind="table", label="flights", detail="version 51"),
        LineageNode(id="tw", kind="table", label="weather", detail="version 0"),
        LineageNode(id="tp", kind="table", label="planes", detail="version 0"),
        LineageNode(id="r", kind="recipe", label="delays-recipe", detail="8a41c09e77f2"),
        LineageNode(id="s", kind="service", label="delays", detail="127.0.0.1:8000"),
        LineageNode(id="tl", kind="table", label="delays__predictions", detail="version 39"),
    ]
    edges = [("f", "tf"), ("w", "tw"), ("p", "tp"), ("tf", "r"), ("tw", "r"), ("tp", "r")]
    edges.append(("s", "tl"))
    for v in (1, 2, 3, 5, 7, 8):
        nodes.append(
            LineageNode(id=f"run{v}", kind="run", label=f"run-2013-{v:02d}", detail="2 workers")
        )
        nodes.append(LineageNode(id=f"v{v}", kind="version", label=f"delays v{v}", detail="0c4e1b"))
        edges += [("r", f"run{v}"), ("tf", f"run{v}"), (f"run{v}", f"v{v}")]
    edges += [(f"v{v}", "s") for v in (7, 8)]
    names = [
        ("read and check", 3.2, 336_776, 610.0), ("join weather", 1.1, 336_776, 540.0),
        ("fit recipe", 0.9, 80_789, 420.0), ("train version 1", 14.6, 80_789, 900.0),
        ("serve 39 weeks", 262.0, 255_987, 730.0), ("monitor", 31.0, 255_987, 480.0),
        ("retrain", 331.5, 1_204_331, 1105.0), ("report", 0.2, None, None),
    ]  # fmt: skip
    return Report(
        title="A year of flights: the loop from raw files to a watched, retrained model",
        created=datetime(2026, 11, 22, 14, 5),
        lake="file:///tmp/raypipe-demo/lake",
        machine="2 CPU cores, 24 GiB, Ray 2.60.0, Python 3.11",
        headlines=(
            Headline(label="Rows through the loop", value="336,776", note="of 336,776 flights"),
            Headline(label="AUC, loop", value="0.721", note="first version 0.707"),
            Headline(label="Retrainings", value="7", note="5 promoted"),
            Headline(label="Requests failed", value="3", note="of 249,114"),
        ),
        tables=(
            TableFigures(name="flights", rows_in=336_776, rows=336_770, quarantined=6),
            TableFigures(name="weather", rows_in=26_115, rows=26_112, quarantined=3),
            TableFigures(name="delays__predictions", rows_in=249_114, rows=249_114),
        ),
        weeks=tuple(weeks),
        months=tuple(
            MonthFigures(month=f"2013-{m:02d}", auc_first=0.72 - m / 900, auc_loop=0.71 + m / 900)
            for m in range(4, 13)
        ),
        drift=tuple(cells),
        retrainings=made,
        versions=versions,
        stages=tuple(Stage(name=n, seconds=s, rows=r, peak_mb=m) for n, s, r, m in names),
        latency=tuple(
            LatencyFigures(
                batch_rows=n, requests=q, p50_ms=a, p90_ms=a * 1.7, p99_ms=a * 6, max_ms=a * 21
            )
            for n, q, a in [
                (1, 214_000, 0.92),
                (10, 30_000, 1.1),
                (100, 4_900, 2.4),
                (1000, 214, 11.8),
            ]
        ),
        nodes=tuple(nodes),
        edges=tuple(LineageEdge(source=a, target=b) for a, b in edges),
    )


EMPTY = Report(title="Nothing yet", created=datetime(2026, 11, 22), lake="lake", machine="none")
HOSTILE = "</style><script>alert('x')</script><img src=x onerror=alert(1)>&\"'`\x00]]>"


def one_week(auc: float | None) -> Report:
    week = WeekFigures(
        week_start=FIRST, rows=5, auc_first=auc, auc_loop=auc, version_in_service=1, requests=5
    )
    return Report(
        title="One", created=datetime(2026, 1, 1), lake="lake", machine="m", weeks=(week,)
    )


def hostile(value: object) -> object:
    """The same JSON with every text that is not a date or a fixed word made hostile."""
    if isinstance(value, dict):
        ids = {"id", "source", "target"}
        fixed = {"kind", "created", "week", "week_start", "month", *ids}
        return {k: v if k in fixed or _is_day(v) else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE if isinstance(value, str) else value


def _is_day(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None


def pictures(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def body(html: str) -> ElementTree.Element:
    """The page is written as XML too, but for its first line and the style sheet."""
    return ElementTree.fromstring(
        re.sub(r"^<!doctype html>|<style>.*?</style>", "", html, flags=re.S)
    )


ODD = {
    "example": example,
    "empty": lambda: EMPTY,
    "one week": lambda: one_week(0.7),
    "no auc": lambda: one_week(None),
    "not a number": lambda: one_week(math.nan),
    "hostile": lambda: Report.from_dict(hostile(json.loads(json.dumps(example().to_dict())))),
}


@pytest.mark.parametrize("name", ODD)
def test_every_page_is_whole(name: str) -> None:
    html = render(ODD[name]())
    page = body(html)
    ids = [one.get("id") for one in page.iter() if one.get("id")]

    assert len(ids) == len(set(ids))
    # Five charts for wide and for narrow screens, and the lineage once.
    assert len(pictures(html)) == 11
    assert len(page.findall(".//section")) == 8
    for link in page.iter("a"):
        assert (link.get("href") or "")[1:] in ids
    for one in page.iter():
        for named in (one.get("aria-labelledby") or "").split():
            assert named in ids
    html.encode()


@pytest.mark.parametrize("name", ODD)
def test_a_page_loads_and_runs_nothing(name: str) -> None:
    html = render(ODD[name]())
    page = body(html)

    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in [
        one.get("content") for one in page.iter("meta")
    ]
    tags = {one.tag.rsplit("}")[-1] for one in page.iter()}
    assert not tags & {"script", "img", "link", "iframe", "object", "image", "use"}
    for one in page.iter():
        assert not [name for name in one.attrib if name.startswith("on")]
    assert "http" not in re.sub(r'xmlns="[^"]*"|http-equiv', "", html)


def test_hostile_text_is_shown_as_text() -> None:
    html = render(ODD["hostile"]())

    assert "<script" not in html
    assert html.count("</style>") == 1
    shown = "".join(body(html).itertext())
    assert "<script>alert('x')</script>" in shown


def test_the_page_holds_the_figures_of_its_charts() -> None:
    report = example()
    shown = "".join(body(render(report)).itertext())

    for week in report.weeks:
        assert str(week.week_start) in shown
    for version in report.versions:
        assert version.model_hash[:12] in shown
    for node in report.nodes:
        assert node.label in shown
    assert "the loop gained" in shown


def test_the_same_report_is_the_same_page() -> None:
    assert render(example()) == render(
        Report.from_dict(json.loads(json.dumps(example().to_dict())))
    )


# In a browser

# The page in a frame of each width; what it finds is written into the outer page.
MEASURE = """<!doctype html><body><pre id=found></pre><script>
const page = PAGE, found = [];
const note = (...words) => found.push(words.join(" "));
const measure = (width) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.srcdoc = page;
  frame.onload = () => {
    const doc = frame.contentDocument, root = doc.documentElement;
    if (root.scrollWidth > width) note(width, "page is", root.scrollWidth, "wide");
    let drawn = 0;
    for (const svg of doc.querySelectorAll("svg")) {
      if (!svg.getClientRects().length) continue;
      drawn += 1;
      const box = svg.viewBox.baseVal;
      const texts = [...svg.querySelectorAll("text")].map((one) => [one, one.getBBox()]);
      for (const [one, b] of texts) {
        const right = b.x + b.width, low = b.y + b.height;
        if (b.x < -2 || b.y < -2 || right > box.width + 1 || low > box.height + 3)
          note(width, svg.querySelector("title").textContent, "cuts", one.textContent);
      }
      texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([two, b]) => {
        const w = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
        const h = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
        if (w > 2 && h > 6) note(width, one.textContent, "covers", two.textContent);
      }));
    }
    if (drawn !== 6) note(width, drawn, "charts drawn");
    note(width, "seen");
    done();
  };
  document.body.append(frame);
});
(async () => {
  for (const width of [1280, 420, 360]) await measure(width);
  document.getElementById("found").textContent = found.join("\\n");
})();
</script></body>"""


def browse(page: str, tmp_path: Path) -> tuple[str, str]:
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    return chromium.browse(file, tmp_path)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["example", "hostile"])
def test_a_browser_shows_the_page_without_complaint(name: str, tmp_path: Path) -> None:
    dom, log = browse(render(ODD[name]()), tmp_path)

    assert dom.count("<svg") == 11
    for key in ("auc", "psi", "versions", "latency", "bars", "lineage-graph"):
        assert f'aria-labelledby="{key}-title {key}-desc"' in dom
    assert "CONSOLE" not in log
    assert "<script" not in dom


@pytest.mark.browser
@pytest.mark.parametrize("name", ["example", "empty", "one week"])
def test_nothing_is_cut_or_covered_at_any_width(name: str, tmp_path: Path) -> None:
    page = json.dumps(render(ODD[name]())).replace("</", "<\\/")
    dom, _ = browse(MEASURE.replace("PAGE", page, 1), tmp_path)

    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None
    assert found[1].splitlines() == ["1280 seen", "420 seen", "360 seen"]
