"""Distributed training whose result a killed process does not change."""

from raypipe.training.backtesting import Backtest, backtest
from raypipe.training.estimators import Sklearn
from raypipe.training.light import LightGBM
from raypipe.training.loops import Shard, TrainLoop
from raypipe.training.run import Run
from raypipe.training.runs import Runs
from raypipe.training.schedule import Schedule
from raypipe.training.stopping import EarlyStopping
from raypipe.training.trainer import Trainer
from raypipe.training.trees import XGBoost

__all__ = [
    "Backtest",
    "EarlyStopping",
    "LightGBM",
    "Run",
    "Runs",
    "Schedule",
    "Shard",
    "Sklearn",
    "TrainLoop",
    "Trainer",
    "XGBoost",
    "backtest",
]
