"""Searching for settings: trials on shared data, proposed, stopped early, and written down."""

from raypipe.training.tuning.result import TuneResult
from raypipe.training.tuning.tuner import Tuner

__all__ = ["TuneResult", "Tuner"]
