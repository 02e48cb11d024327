"""Distributed training whose result a killed process does not change."""

from raypipe.training.learner import XGBoost
from raypipe.training.run import Run
from raypipe.training.runs import Runs
from raypipe.training.trainer import Trainer

__all__ = ["Run", "Runs", "Trainer", "XGBoost"]
