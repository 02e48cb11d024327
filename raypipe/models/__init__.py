"""The model bundle, its metrics, and nothing that knows where models are kept."""

from raypipe.models import metrics
from raypipe.models.bundle import ModelBundle
from raypipe.models.metrics import Metric

__all__ = ["Metric", "ModelBundle", "metrics"]
