"""How sure a figure is, where it holds, and on which rows it should be taken."""

from raypipe.models.evaluation.calibration import Calibration, calibration
from raypipe.models.evaluation.intervals import Interval, compare, interval
from raypipe.models.evaluation.slices import SliceReport, slices
from raypipe.models.evaluation.splits import TimeSplit, group_folds, rolling_origin

__all__ = [
    "Calibration",
    "Interval",
    "SliceReport",
    "TimeSplit",
    "calibration",
    "compare",
    "group_folds",
    "interval",
    "rolling_origin",
    "slices",
]
