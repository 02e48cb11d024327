"""Drift of inputs and performance with late labels, by evidence that may be looked at any time.

Values in, values out: ``windows.advance`` is the one door to the tests.
"""

from raypipe.monitoring.config import MonitorConfig
from raypipe.monitoring.figures import Alert
from raypipe.monitoring.monitor import Monitor

__all__ = ["Alert", "Monitor", "MonitorConfig"]
