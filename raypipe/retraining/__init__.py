"""The loop's last arc: from an alert to a new version in service."""

from raypipe.retraining.reproduce import Reproduction, reproduce
from raypipe.retraining.retrain import Retrain

__all__ = ["Reproduction", "Retrain", "reproduce"]
