"""The model bundle, its metrics, and nothing that knows where models are kept."""

from raypipe.models import metrics
from raypipe.models.bundle import ModelBundle
from raypipe.models.metrics import Metric
from raypipe.models.scoring import labelled_scores

__all__ = ["Metric", "ModelBundle", "labelled_scores", "metrics"]
