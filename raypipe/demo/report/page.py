"""The page: sections in the order a reader asks, from "what came of it" to "every figure"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raypipe.demo.report import charts, tables
from raypipe.demo.report.findings import Tone, findings
from raypipe.demo.report.markup import Markup, el, text
from raypipe.demo.report.style import sheet
from raypipe.demo.report.svg import NARROW, WIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.demo.report.model import Report

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_SIGNS: dict[Tone, str] = {"good": "▲", "bad": "▼", "plain": "●"}


def render(report: Report) -> str:
    """The report as one HTML file: no script, no network, all text escaped.

    It follows the reader's light or dark setting, fits screens from 360 pixels up, and prints on
    white. Each chart is drawn for wide and for narrow screens; the style sheet shows one of them.
    """
    sections = _sections(report)
    nav = [el("li", el("a", text(name), href=f"#{key}")) for key, name, _ in sections]
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width,initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", text(report.title)),
        # The sheet is ours and holds no foreign text; escaping would break its quotes.
        Markup(f"<style>{sheet()}</style>"),
    )
    body = el(
        "body",
        el("header", *_top(report), el("nav", el("ul", *nav), aria_label="Sections")),
        el("main", *(_section(key, name, parts) for key, name, parts in sections)),
        el(
            "footer", text("Made by raypipe. This file holds all of its figures and loads nothing.")
        ),
    )
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _top(report: Report) -> list[Markup]:
    about = [
        ("made", f"{report.created:%Y-%m-%d %H:%M} UTC"),
        ("lake", report.lake),
        ("machine", report.machine),
    ]
    rows = [part for name, value in about for part in (el("dt", text(name)), el("dd", text(value)))]
    parts = [el("h1", text(report.title)), el("dl", *rows, class_="about")]
    if report.headlines:
        cards = [
            el(
                "li",
                el("span", text(one.label), class_="what"),
                el("span", text(one.value), class_="value"),
                *([el("span", text(one.note), class_="note")] if one.note else []),
            )
            for one in report.headlines
        ]
        parts.append(el("ul", *cards, class_="headlines"))
    return parts


def _section(key: str, name: str, parts: Sequence[Markup]) -> Markup:
    heading = el("h2", text(name), id=f"{key}-heading")
    return el("section", heading, *parts, id=key, aria_labelledby=f"{key}-heading")


def _sections(report: Report) -> list[tuple[str, str, list[Markup]]]:
    return [
        ("findings", "What the figures say", _findings(report)),
        ("quality", "Quality by week", _quality(report)),
        ("drift", "Drift", _drift(report)),
        ("retraining", "Retraining and versions", _retraining(report)),
        ("latency", "Requests", _latency(report)),
        ("stages", "Where the time went", _stages(report)),
        ("lineage", "Lineage", _lineage(report)),
        ("weeks", "Every week", [tables.weeks(report)]),
    ]


def _findings(report: Report) -> list[Markup]:
    rows = [
        el(
            "li",
            el("span", text(_SIGNS[one.tone]), class_="sign", aria_hidden="true"),
            el("span", text(one.text)),
            class_=one.tone,
        )
        for one in findings(report)
    ]
    return [
        el("ul", *rows, class_="findings"),
        el("p", text("▲ speaks for the loop, ▼ against it, ● neither."), class_="signs"),
    ]


def _quality(report: Report) -> list[Markup]:
    return [
        _lead(
            "ROC AUC on each week's rows once their labels had come: what the loop had in service, "
            "and the first version kept as it was."
        ),
        _figure(
            lambda key, width: charts.auc_by_week(
                report.weeks, report.retrainings, key=key, width=width
            ),
            "auc",
            "Solid: the loop. Dashed: the first version. Plain tint: the loop is better; striped: "
            "it is worse. Marks above are retrainings, a disc for a version that was promoted, a "
            "cross for one that was not. The axis does not start at zero. "
            "Differences are taken before rounding.",
        ),
        tables.months(report),
    ]


def _drift(report: Report) -> list[Markup]:
    return [
        _lead(
            "How far each column had moved from the profile of the version in service, by "
            "population stability index (PSI). The column that moved most is on top."
        ),
        _figure(
            lambda key, width: charts.drift_map(report.drift, key=key, width=width),
            "psi",
            "An outline with a dot is an alarm of the sequential test, which decides by its "
            "evidence (log e) and not by PSI. Dashed: PSI not known.",
        ),
    ]


def _retraining(report: Report) -> list[Markup]:
    return [
        _figure(
            lambda key, width: charts.versions_in_service(
                report.versions, report.weeks, key=key, width=width
            ),
            "versions",
            "Figures on the bars are AUC on the validation rows of each version; they are not "
            "comparable between versions, since the rows differ.",
        ),
        tables.retrainings(report),
        tables.versions(report),
    ]


def _latency(report: Report) -> list[Markup]:
    return [
        _figure(
            lambda key, width: charts.request_latency(report.latency, key=key, width=width),
            "latency",
            "Time from sending a request to its whole answer, as the client saw it.",
        ),
        tables.latency(report),
    ]


def _stages(report: Report) -> list[Markup]:
    return [
        _figure(
            lambda key, width: charts.stage_bars(report.stages, key=key, width=width),
            "bars",
            "Wall time and rows have scales of their own, both from zero.",
        ),
        tables.stages(report),
        tables.data_tables(report),
    ]


def _lineage(report: Report) -> list[Markup]:
    drawn = charts.lineage_graph(report.nodes, report.edges, key="lineage-graph", width=WIDE)
    box = el(
        "div", drawn, class_="scroll graph", tabindex="0", role="region", aria_label="Lineage graph"
    )
    return [
        _lead("What each version was made from, and what it feeds. Read from left to right."),
        el("figure", box),
        tables.steps(report),
    ]


def _lead(words: str) -> Markup:
    return el("p", text(words), class_="lead")


def _figure(draw: Callable[[str, float], Markup], key: str, caption: str) -> Markup:
    """A chart in both widths; what is not shown is not read out either."""
    return el(
        "figure",
        el("div", draw(key, WIDE), class_="wide"),
        el("div", draw(f"{key}-narrow", NARROW), class_="narrow"),
        el("figcaption", text(caption)),
    )
