"""The model bundle, metrics and their evaluation, and nothing that knows where models are kept."""

from raypipe.models import evaluation, metrics
from raypipe.models.bundle import ModelBundle
from raypipe.models.metrics import Metric
from raypipe.models.scoring import labelled_scores, weighted_scores
from raypipe.models.trusting import trust

__all__ = [
    "Metric",
    "ModelBundle",
    "evaluation",
    "labelled_scores",
    "metrics",
    "trust",
    "weighted_scores",
]
