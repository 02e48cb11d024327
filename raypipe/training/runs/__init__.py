"""Training runs as tables of the lake: what went in, what came out, and how it went."""

from raypipe.training.runs.record import RunRecord
from raypipe.training.runs.runs import Runs
from raypipe.training.runs.views import Comparison, RunList

__all__ = ["Comparison", "RunList", "RunRecord", "Runs"]
