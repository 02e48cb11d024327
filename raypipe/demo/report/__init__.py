"""The demo's report: what one run of the loop did, in one HTML file that stands alone."""

from raypipe.demo.report.findings import Finding, findings
from raypipe.demo.report.model import (
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
)
from raypipe.demo.report.page import render

__all__ = [
    "DriftCell",
    "Finding",
    "Headline",
    "LatencyFigures",
    "LineageEdge",
    "LineageNode",
    "MonthFigures",
    "Report",
    "Retraining",
    "Stage",
    "TableFigures",
    "VersionFigures",
    "WeekFigures",
    "findings",
    "render",
]
