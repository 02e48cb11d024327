"""The tables of the report: every figure that a chart shows can be read here too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.demo.report.figures import (
    UNKNOWN,
    auc,
    count,
    day,
    megabytes,
    millis,
    seconds,
    share,
    signed,
)
from raypipe.demo.report.markup import Markup, el, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.demo.report.model import Report


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name, and how it is set.

    Attributes:
        figures: set to the right.
        long: text that may take several lines.
    """

    name: str
    figures: bool = False
    long: bool = False

    @property
    def style(self) -> str | None:
        """The class of its cells."""
        return "n" if self.figures else "long" if self.long else None


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Markup:
    """A table in a box that scrolls sideways where the screen is too narrow for it."""
    if not rows:
        return el("p", text(f"{caption}: none."), class_="none")
    head = [el("th", text(one.name), scope="col", class_=one.style) for one in columns]
    body = []
    for row in rows:
        cells = []
        for i, (one, value) in enumerate(zip(columns, row, strict=True)):
            if i == 0:
                cells.append(el("th", text(value), scope="row", class_=one.style))
            else:
                cells.append(el("td", text(value), class_=one.style))
        body.append(el("tr", *cells))
    # A table of few columns is easier to read when its figures stay near their names.
    inside = el(
        "table",
        el("caption", text(caption)),
        el("thead", el("tr", *head)),
        el("tbody", *body),
        class_="few" if len(columns) < 7 else None,
    )
    return el("div", inside, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _n(*names: str) -> list[Column]:
    return [Column(name, True) for name in names]


def data_tables(report: Report) -> Markup:
    """Rows by table of the lake."""
    return table(
        "Tables of the lake",
        [Column("table"), *_n("rows in", "rows", "quarantined", "share")],
        [
            (
                one.name,
                count(one.rows_in),
                count(one.rows),
                count(one.quarantined),
                share(one.quarantined / one.rows_in if one.rows_in else None),
            )
            for one in report.tables
        ],
    )


def months(report: Report) -> Markup:
    """AUC by month."""
    return table(
        "AUC by month",
        [Column("month"), *_n("first version", "loop", "difference")],
        [
            (one.month, auc(one.auc_first), auc(one.auc_loop), _gain(one.auc_first, one.auc_loop))
            for one in report.months
        ],
    )


def weeks(report: Report) -> Markup:
    """Every week of service."""
    based = any(one.auc_static_baseline is not None for one in report.weeks)
    columns = [Column("week of"), *_n("rows", "first", "loop", "difference")]
    if based:
        columns += _n("baseline")
    columns += _n("version", "late", "requests", "failed", "p50", "p99")
    rows = []
    for one in sorted(report.weeks, key=lambda week: week.week_start):
        row = [day(one.week_start), count(one.rows), auc(one.auc_first), auc(one.auc_loop)]
        row.append(_gain(one.auc_first, one.auc_loop))
        if based:
            row.append(auc(one.auc_static_baseline))
        row += [str(one.version_in_service), share(one.late_share), count(one.requests)]
        row += [count(one.failed), millis(one.p50_ms), millis(one.p99_ms)]
        rows.append(row)
    return table("Weeks of service", columns, rows)


def versions(report: Report) -> Markup:
    """Every version, and when it served."""
    columns = [Column("version", True), Column("trained on"), *_n("rows", "AUC, validation")]
    columns += [Column("in service"), Column("state"), Column("model hash")]
    rows = []
    for one in sorted(report.versions, key=lambda one: one.version):
        served = "never"
        if one.in_service_from is not None:
            until = one.in_service_until
            served = f"{one.in_service_from} to {until}" if until else f"{one.in_service_from} on"
        rows.append(
            (
                str(one.version),
                f"{one.trained_from} to {one.trained_until}",
                count(one.rows),
                auc(one.auc_valid),
                served,
                one.state or UNKNOWN,
                one.model_hash[:12],
            )
        )
    return table("Versions", columns, rows)


def retrainings(report: Report) -> Markup:
    """Every retraining, its cause and its outcome."""
    columns = [Column("week of"), Column("cause"), Column("columns", long=True), Column("versions")]
    columns += [
        *_n("AUC before", "AUC after", "difference"),
        Column("outcome", long=True),
        *_n("took"),
    ]
    rows = []
    for one in sorted(report.retrainings, key=lambda one: one.week):
        to = UNKNOWN if one.to_version is None else str(one.to_version)
        outcome = "promoted" if one.promoted else "not promoted"
        rows.append(
            (
                day(one.week),
                one.cause,
                ", ".join(one.columns) or UNKNOWN,
                f"{one.from_version} → {to}",
                auc(one.auc_champion),
                auc(one.auc_candidate),
                _gain(one.auc_champion, one.auc_candidate),
                f"{outcome}: {one.reason}" if one.reason else outcome,
                seconds(one.seconds),
            )
        )
    return table("Retrainings", columns, rows)


def stages(report: Report) -> Markup:
    """Time, rows and memory by stage."""
    return table(
        "Stages",
        [Column("stage"), *_n("time", "rows", "rows a second", "peak memory")],
        [
            (
                one.name,
                seconds(one.seconds),
                count(one.rows),
                count(round(one.rows / one.seconds)) if one.rows and one.seconds > 0 else UNKNOWN,
                megabytes(one.peak_mb),
            )
            for one in report.stages
        ],
    )


def latency(report: Report) -> Markup:
    """Quantiles of request time."""
    return table(
        "Request latency",
        _n("rows in a request", "requests", "p50", "p90", "p99", "longest"),
        [
            (
                count(one.batch_rows),
                count(one.requests),
                millis(one.p50_ms),
                millis(one.p90_ms),
                millis(one.p99_ms),
                millis(one.max_ms),
            )
            for one in sorted(report.latency, key=lambda one: one.batch_rows)
        ],
    )


def steps(report: Report) -> Markup:
    """The lineage in words: each thing, and what it was made from."""
    names = {node.id: node.label for node in report.nodes}
    rows = []
    for node in report.nodes:
        before = [names[edge.source] for edge in report.edges if edge.target == node.id]
        rows.append((node.label, node.kind, ", ".join(before) or UNKNOWN, node.detail))
    columns = [
        Column("thing"),
        Column("kind"),
        Column("made from", long=True),
        Column("detail", long=True),
    ]
    return table("Lineage in words", columns, rows)


def _gain(before: float | None, after: float | None) -> str:
    return signed(None if before is None or after is None else after - before)
