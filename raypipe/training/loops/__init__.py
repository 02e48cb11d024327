"""Training loops of the user's own, on Ray Train's workers."""

from raypipe.training.loops.settings import TrainLoop
from raypipe.training.loops.shard import Shard

__all__ = ["Shard", "TrainLoop"]
