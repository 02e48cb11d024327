"""The charts of the report: each a function from figures to one inline SVG.

Every builder takes `key`, a prefix for ids that is unique on the page, and `width` in CSS pixels;
without data it draws a picture that says so.
"""

from raypipe.demo.report.charts.drift import drift_map
from raypipe.demo.report.charts.latency import request_latency
from raypipe.demo.report.charts.lineage import lineage_graph
from raypipe.demo.report.charts.quality import auc_by_week
from raypipe.demo.report.charts.service import versions_in_service
from raypipe.demo.report.charts.stages import stage_bars

__all__ = [
    "auc_by_week",
    "drift_map",
    "lineage_graph",
    "request_latency",
    "stage_bars",
    "versions_in_service",
]
