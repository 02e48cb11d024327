"""What a rank of Ray Train refuses is not asked of it again.

Ray Train starts its workers again after any error. Rows that cannot be learned from are the same
rows the next time. This file imports little, since the controller imports it.
"""

from __future__ import annotations

from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy

from raypipe.core.errors import LakeError, RaypipeError, may_pass


def refusal(error: BaseException) -> RaypipeError | None:
    """What the first rank refused, out of what Ray Train raises; None where a retry may help.

    Storage may come back, and be open again to the next worker.
    """
    failures = getattr(error, "worker_failures", {})
    for rank in sorted(failures):
        cause = getattr(failures[rank], "_base_exc", failures[rank])
        if isinstance(cause, RaypipeError) and not (
            isinstance(cause, LakeError) or may_pass(cause)
        ):
            return cause
    return None


class Refusals(DefaultFailurePolicy):  # type: ignore[misc]
    """Ray Train's own policy, but for what is refused: that ends the run."""

    def make_decision(self, training_failed_error: BaseException) -> FailureDecision:
        """Whether the workers are started again."""
        if refusal(training_failed_error) is not None:
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)
