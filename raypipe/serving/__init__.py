"""A model behind HTTP, the pointer that it follows, and the log of its predictions."""

from raypipe.serving.client import Prediction
from raypipe.serving.log_table import predictions
from raypipe.serving.service import Service

__all__ = ["Prediction", "Service", "predictions"]
