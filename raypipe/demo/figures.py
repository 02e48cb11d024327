"""From the lake's tables to the summary and the report."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

import raypipe as rp
from raypipe.demo import flights
from raypipe.demo.report import model as page
from raypipe.demo.report import render
from raypipe.demo.summary import ENDINGS, Summary

if TYPE_CHECKING:
    from pathlib import Path

    from raypipe.demo.stages import Stages

MODEL = flights.MODEL


def collect(
    lake: rp.Lake,
    counts: dict[str, dict[str, int]],
    stages: Stages,
    first: rp.ModelVersion,
    path: Path,
    replayed: int,
) -> Summary:
    """Computes all figures, writes the report and returns the summary."""
    scored = scored_rows(lake, first, replayed)
    known = scored.drop_nulls("label")
    weeks = _weeks(lake, known, scored)
    by_month = {
        month: {"first": _auc(rows, "first"), "loop": _auc(rows, "score")}
        for (month,), rows in known.group_by("month", maintain_order=True)
    }
    versions = rp.Registry(lake).versions(MODEL)
    retrainings = _retrainings(lake)
    sent = _sent(lake)
    summary = Summary(
        lake=lake.root,
        report=str(path),
        weeks=replayed,
        tables=counts,
        retrainings=retrainings,
        requests=sum(row["requests"] for row in sent),
        failed_requests=sum(row["failed"] for row in sent),
        predictions=len(scored),
        auc={
            "first": _auc(known, "first"),
            "loop": _auc(known, "score"),
            "by_month": {str(month): row for month, row in by_month.items()},
        },
        model_hash={str(v.version): v.hash for v in versions},
        seconds=stages.seconds,
        peak_mb=stages.peak_mb,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = stages.rows | {"replay": len(scored)}
    html = render(_report(lake, summary, weeks, versions, sent, rows))
    path.write_text(html, encoding="utf-8")
    return summary


def scored_rows(lake: rp.Lake, first: rp.ModelVersion, replayed: int) -> pl.DataFrame:
    """Every logged prediction with its label and the first version's score of the same flight.

    Columns: prediction_id, week, month, version, score, first, label (null: cancelled).
    """
    log = lake.table(f"{MODEL}__predictions").at()
    predictions = (
        log.select("prediction_id", "version", "score")
        .frame()
        .unique("prediction_id", keep="first", maintain_order=True)
    )
    out = []
    for week in flights.weeks(replayed):
        rows = flights.week_rows(lake, week)
        scores = first.predict(rows.select(flights.INPUTS))
        out.append(
            rows.select(
                "prediction_id",
                "label",
                week=pl.lit(week.date()),
                month=pl.col("sched_local").dt.strftime("%Y-%m"),
                first=pl.Series(scores),
            )
        )
    joined = pl.concat(out).join(predictions, on="prediction_id", how="left", maintain_order="left")
    missing = joined["score"].null_count()
    if missing:
        raise rp.errors.ServingError(
            "the prediction log lacks flights that were sent",
            f"{missing} of {len(joined)}",
            "This is a fault of the log: keep the lake and report it.",
        )
    return joined


def _auc(rows: pl.DataFrame, column: str) -> float | None:
    value = rp.metrics.roc_auc(rows["label"].to_numpy(), rows[column].to_numpy())
    return None if np.isnan(value) else value


def _sent(lake: rp.Lake) -> list[dict[str, Any]]:
    names = sorted(lake.files.list("demo/weeks"))
    return [json.loads(lake.files.get(name)) | {"name": name} for name in names]


def _weeks(lake: rp.Lake, known: pl.DataFrame, scored: pl.DataFrame) -> list[page.WeekFigures]:
    out = []
    by_week = {week: rows for (week,), rows in known.group_by("week", maintain_order=True)}
    for (week,), rows in scored.group_by("week", maintain_order=True):
        sent = json.loads(lake.files.get(f"demo/weeks/{week}-replay.json"))
        labelled = by_week.get(week)
        times = sent["batch_ms"]
        out.append(
            page.WeekFigures(
                week_start=week,
                rows=len(rows),
                auc_first=None if labelled is None else _auc(labelled, "first"),
                auc_loop=None if labelled is None else _auc(labelled, "score"),
                version_in_service=int(rows["version"].to_numpy().max()),
                late_share=None if labelled is None else float(labelled["label"].to_numpy().mean()),
                requests=sent["requests"],
                failed=sent["failed"],
                p50_ms=float(np.percentile(times, 50)) if times else None,
                p99_ms=float(np.percentile(times, 99)) if times else None,
            )
        )
    return out


def _retrainings(lake: rp.Lake) -> list[dict[str, Any]]:
    table = lake.table(f"{MODEL}__retrainings")
    if not table.exists:
        return []
    frame = table.at().frame()
    ends = {row["cause"]: row for row in frame.iter_rows(named=True) if row["kind"] != "started"}
    out = []
    started = frame.filter(pl.col("kind") == "started").sort("time")
    for row in started.iter_rows(named=True):
        end = ends.get(row["cause"])
        said = json.loads(row["detail"])
        detail = json.loads(end["detail"]) if end else {}
        checks = detail.get("gate", {}).get("checks", [{}])
        out.append(
            {
                "cause": row["cause"],
                "why": said["cause"],
                "columns": said["columns"],
                "week": f"{row['time'] - flights.WEEK:%Y-%m-%d}",
                "from_version": row["from_version"],
                "to_version": end["to_version"] if end else None,
                "promoted": bool(end and end["kind"] == "promoted"),
                "ending": end["kind"] if end else "under way",
                "seconds": round(detail.get("seconds", 0.0), 2),
                "auc_candidate": checks[0].get("value"),
                "auc_champion": checks[0].get("threshold"),
            }
        )
    return out


def _report(
    lake: rp.Lake,
    summary: Summary,
    weeks: list[page.WeekFigures],
    versions: list[rp.ModelVersion],
    sent: list[dict[str, Any]],
    rows: dict[str, int],
) -> page.Report:
    nodes, edges = _lineage(summary, versions)
    gain = summary.auc["loop"] - summary.auc["first"]
    return page.Report(
        title="A year of New York flights",
        created=datetime.now(UTC).replace(microsecond=0, tzinfo=None),
        lake=lake.root,
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        headlines=(
            page.Headline(label="ROC AUC under the loop", value=f"{summary.auc['loop']:.4f}"),
            page.Headline(
                label="under the first version",
                value=f"{summary.auc['first']:.4f}",
                note=f"difference {gain:+.4f}",
            ),
            page.Headline(label="retrainings", value=str(len(summary.retrainings))),
            page.Headline(
                label="failed requests",
                value=f"{summary.failed_requests:,}",
                note=f"of {summary.requests:,}",
            ),
        ),
        tables=tuple(page.TableFigures(name=n, **row) for n, row in summary.tables.items()),
        weeks=tuple(weeks),
        months=tuple(
            page.MonthFigures(month=month, auc_first=row["first"], auc_loop=row["loop"])
            for month, row in summary.auc["by_month"].items()
        ),
        drift=_drift(lake),
        retrainings=tuple(_retraining(row) for row in summary.retrainings),
        versions=_versions(versions, summary, weeks),
        stages=tuple(
            page.Stage(name=name, seconds=s, rows=rows.get(name), peak_mb=summary.peak_mb.get(name))
            for name, s in summary.seconds.items()
        ),
        latency=_latency(sent),
        nodes=nodes,
        edges=edges,
    )


def _retraining(row: dict[str, Any]) -> page.Retraining:
    return page.Retraining(
        cause=row["why"],
        columns=tuple(row["columns"]),
        week=datetime.fromisoformat(row["week"]).date(),
        from_version=row["from_version"],
        to_version=row["to_version"],
        promoted=row["promoted"],
        reason=ENDINGS[row["ending"]],
        auc_champion=row["auc_champion"],
        auc_candidate=row["auc_candidate"],
        seconds=row["seconds"],
    )


def _drift(lake: rp.Lake) -> tuple[page.DriftCell, ...]:
    rows = rp.Monitor(lake, MODEL).figures().filter(pl.col("kind") == "column")
    return tuple(
        page.DriftCell(
            week_start=row["window_start"].date(),
            column=row["name"],
            psi=row["psi"],
            log_e=row["log_e"],
            raised=row["guilty"],
        )
        for row in rows.iter_rows(named=True)
    )


def _versions(
    versions: list[rp.ModelVersion], summary: Summary, weeks: list[page.WeekFigures]
) -> tuple[page.VersionFigures, ...]:
    out = []
    for version in versions:
        served = [w.week_start for w in weeks if w.version_in_service == version.version]
        tags = version.manifest["tags"]
        champion = version.version == versions[0].registry.state(MODEL).champion
        out.append(
            page.VersionFigures(
                version=version.version,
                trained_from=datetime(flights.YEAR, 1, 1).date(),
                trained_until=datetime.fromisoformat(tags["trained_until"]).date(),
                rows=version.manifest["rows"],
                model_hash=version.hash,
                auc_valid=version.metrics.get("roc_auc"),
                in_service_from=served[0] if served else None,
                in_service_until=(
                    None if champion or not served else served[-1] + timedelta(days=7)
                ),
                state="in service" if champion else "replaced",
            )
        )
    return tuple(out)


def _latency(sent: list[dict[str, Any]]) -> tuple[page.LatencyFigures, ...]:
    out = []
    for size, key in ((1, "single_ms"), (flights.BATCH_ROWS, "batch_ms")):
        times = np.array([ms for row in sent for ms in row[key]])
        if times.size:
            p50, p90, p99 = (float(np.percentile(times, q)) for q in (50, 90, 99))
            out.append(
                page.LatencyFigures(
                    batch_rows=size,
                    requests=int(times.size),
                    p50_ms=p50,
                    p90_ms=p90,
                    p99_ms=p99,
                    max_ms=float(times.max()),
                )
            )
    return tuple(out)


def _lineage(
    summary: Summary, versions: list[rp.ModelVersion]
) -> tuple[tuple[page.LineageNode, ...], tuple[page.LineageEdge, ...]]:
    node, edge = page.LineageNode, page.LineageEdge
    nodes, edges = [], []
    for name, row in summary.tables.items():
        nodes.append(node(id=f"file:{name}", kind="source", label=f"{name} CSV"))
        nodes.append(node(id=name, kind="table", label=name, detail=f"{row['rows']:,} rows"))
        edges.append(edge(source=f"file:{name}", target=name))
    nodes.append(
        node(id="features", kind="table", label=flights.FEATURES, detail="as of departure")
    )
    nodes.append(node(id="recipe", kind="recipe", label="recipe", detail="planes looked up"))
    edges += [edge(source=name, target="features") for name in ("flights", "weather")]
    edges += [edge(source="features", target="recipe"), edge(source="planes", target="recipe")]
    nodes.append(node(id="service", kind="service", label=MODEL, detail="HTTP on loopback"))
    for version in versions:
        run = f"run:{version.version}"
        rows = f"{version.manifest['rows']:,} rows"
        nodes.append(
            node(id=run, kind="run", label=f"run {(version.run_id or '')[:8]}", detail=rows)
        )
        this = f"version:{version.version}"
        label = f"version {version.version}"
        nodes.append(node(id=this, kind="version", label=label, detail=version.hash[:12]))
        edges.append(edge(source="recipe", target=run))
        edges.append(edge(source=run, target=this))
        edges.append(edge(source=this, target="service"))
    return tuple(nodes), tuple(edges)
